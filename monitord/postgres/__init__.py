"""The one session that every probe of Postgres shares: its address, its connection, its SQL."""
