"""Root-cause rankers as others published them, one file each; none has a setting that was tuned here."""
