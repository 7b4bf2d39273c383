"""The channels: each turns what a cycle decided into something a person or a program hears."""
