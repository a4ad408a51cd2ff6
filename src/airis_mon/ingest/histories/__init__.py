"""The past of other systems: one file per kind."""
