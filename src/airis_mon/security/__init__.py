"""Keys, and what must not be printed."""
