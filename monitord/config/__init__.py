"""Settings: read from the environment, a `.env` and `monitord.toml`, checked, and where each came from."""
