"""Benchmarks: how fast the app is, with a baseline from the same run. ``python -m tests.benchmarks``."""
