"""Draw a digit, watch a neural network read it, and see why."""

__version__ = "0.1.0"
