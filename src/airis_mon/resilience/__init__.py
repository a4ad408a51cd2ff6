"""Retry, rate limits: the clock is given, not taken."""
