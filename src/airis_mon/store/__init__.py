"""Where samples, series and facts live. Decides nothing."""
