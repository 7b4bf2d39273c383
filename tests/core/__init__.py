"""Tests of the pure core: nights folded through `decide`."""
