"""From other systems to batches of samples."""
