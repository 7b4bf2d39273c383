"""Tests of how reports look."""
