"""The HTTP surface: a route is parse, call, return."""
