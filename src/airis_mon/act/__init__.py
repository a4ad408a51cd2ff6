"""Out to people and machines: what was found leaves us here."""
