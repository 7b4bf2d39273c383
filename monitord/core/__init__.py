"""What is true about a fleet, as pure functions and frozen values: no clock, no I/O, standard library only."""
