"""The training loop and what it writes: metrics, event files, checkpoints, the result."""
