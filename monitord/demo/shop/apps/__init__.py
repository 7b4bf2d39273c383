"""The services of the shop that are Python programs."""
