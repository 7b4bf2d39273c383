"""Embedded servers and their sandbox: shared by the tests, the benchmarks and the demonstration."""
