"""From words on the command line to a checked, plain configuration. The only room beside the CLI that knows Hydra."""
