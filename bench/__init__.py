"""The benchmarks: what monitord costs beside the script it replaces, in one run on one machine. `python -m bench`."""
