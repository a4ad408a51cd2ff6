"""Sources that are asked. One file per kind."""
