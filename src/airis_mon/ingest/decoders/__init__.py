"""Bytes pushed to us, decoded into batches. One file per format."""
