"""What is unusual. Pure: data and clock are given, values are returned."""
