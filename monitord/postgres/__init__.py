"""The one session that every probe of Postgres shares: its address, its connection, its SQL."""

from monitord.imports import defer

# asyncpg reads a service file with it, where a DSN names one.
defer("configparser")
