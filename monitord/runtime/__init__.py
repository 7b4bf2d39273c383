"""The daemon: its scheduler, its cycle, its signals, and what runs beside the cycle."""
