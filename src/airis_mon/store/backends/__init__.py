"""One file per store engine."""
