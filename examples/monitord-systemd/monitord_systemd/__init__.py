"""systemd's units as a subject of monitord."""
