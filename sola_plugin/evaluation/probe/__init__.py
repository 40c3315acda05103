"""What a linear model reads from features."""
