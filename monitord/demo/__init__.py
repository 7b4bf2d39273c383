"""The demonstration: real servers from wheels, a miniature fleet under a real PM2, and a tour of its faults."""
