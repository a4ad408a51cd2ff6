"""Programs for those who work on AIRIS-MON; nothing here ships."""
