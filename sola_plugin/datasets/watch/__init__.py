"""The embedded data: streams of a smart watch, composed and encoded (docs/watch.md)."""
