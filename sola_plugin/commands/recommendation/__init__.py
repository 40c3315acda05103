"""Advice for a user's own data, without training a head."""
