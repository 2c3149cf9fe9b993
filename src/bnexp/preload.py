"""What a run on a CPU imports, sooner or later: the server from which workers are forked imports it once for all."""

from bnexp.garbage import importing

with importing():
    import bnexp.data.bundled
    import bnexp.models.convnet
    import bnexp.nn.initializers
    import bnexp.optim.schedules
    import bnexp.run
    import bnexp.training.tensorboard  # noqa: F401
    from bnexp.config.code import own_digest

own_digest()  # now, so that it is that of the code that has been imported, whatever is edited while workers start
