"""A seeded world of services, load, faults and changes, with its truth. Pure: the same seed gives the same bytes."""
