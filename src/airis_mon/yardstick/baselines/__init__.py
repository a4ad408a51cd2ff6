"""What others do with the same signals: one detector per file, each at the line that it is published with."""
