"""Facts, as frozen values. Pure."""
