"""How quick the app is: figures with a baseline from the same run. ``python -m tests.benchmarks``."""
