"""Why detections are wrong, after DETAD."""
