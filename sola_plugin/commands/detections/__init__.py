"""Anybody's files of ground truth and detections: reading, evaluation, diagnosis; no torch."""
