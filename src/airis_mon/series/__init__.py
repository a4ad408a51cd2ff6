"""Numbers and their names: labels, series, batches of samples. Pure."""
