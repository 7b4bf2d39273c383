"""Redis and Valkey as a client meets them: how to connect, how much of an answer is read, what an error means."""

from monitord.imports import import_parts, without

# Of redis-py the connection, the parser and the errors: its clients and their commands are 5 MB. opentelemetry would be
# asked for nothing, cryptography for what no URL here can ask for.
with without("cryptography", "opentelemetry", "xxhash"):
    import_parts("redis.exceptions", "redis.asyncio.connection")

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

__all__ = ["AbstractConnection", "exceptions"]
