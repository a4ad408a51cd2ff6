"""Questions about one or a few series, answered by numbers: pure."""
