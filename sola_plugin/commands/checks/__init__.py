"""Checks of a data set before anything is trained on it, and what a head could reach on it."""
