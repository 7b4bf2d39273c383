"""What the report looks like: for people at a terminal, for monitoring systems, for programs."""
