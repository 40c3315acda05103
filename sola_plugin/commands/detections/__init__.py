"""Files of ground truth and detections, anybody's: reading, evaluation in words, diagnosis; no
torch."""
