"""Network architectures. Each receives its input's shape, the number of classes, an activation and a norm."""
