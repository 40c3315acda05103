"""Figures of detections and proposals against ground truth: NumPy only."""
