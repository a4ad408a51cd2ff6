"""Settings: a TOML file, the environment over it, flags over that."""
