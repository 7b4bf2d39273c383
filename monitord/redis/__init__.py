"""Redis and Valkey as a client meets them: how to connect, how much of an answer is read, what an error means."""
