"""One script per claim; run each with `python -m benchmarks.NAME`."""
