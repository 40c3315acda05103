"""Annotations: the model of a video, its checks, conversion, and the formats of files."""
