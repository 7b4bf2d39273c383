"""The page: what the daemon holds, for a browser, and the same as JSON. Loaded only while it is on."""
