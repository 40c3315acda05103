"""The linear probe on features, SoLa checkpoints and localizers; its tables and report."""
