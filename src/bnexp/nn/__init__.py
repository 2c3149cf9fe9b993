"""Plain PyTorch parts: initializers, normalizers, noise. Nothing here knows configs, data or training."""
