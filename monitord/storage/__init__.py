"""The SQLite snapshot: state, recorded cycles, the outbox and the operators' commands."""
