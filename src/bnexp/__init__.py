"""bnexp: what do initialization and normalization do to the training of a network?"""

__version__ = "0.1.0"
