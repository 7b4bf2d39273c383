"""Real faults on a real fleet, watched by the real daemon: what must be said, and nothing else."""
