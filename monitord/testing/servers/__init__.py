"""Postgres, Valkey and PM2 from wheels and npm, each in a sandbox."""
