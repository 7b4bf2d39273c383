"""A shop: six services with names, tables and queues of their own, no epochs, and checks that its team wrote."""
