"""The miniature fleet: seven small services that PM2 runs, so that there is something real to watch."""
