"""Tests of the PM2 room."""
