"""The morning report: its model, its criteria, and when monitoring was blind."""
