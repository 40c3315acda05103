"""Feature files: stores of many videos (folder, archive, packed, fused), readers, checks."""
