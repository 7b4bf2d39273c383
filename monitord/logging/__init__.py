"""The JSON log: structlog's pipeline, the hourly files, and their reader."""
