"""Draw a digit, watch a neural network read it, and see why."""

import os

__version__ = "0.1.0"

# Whoever imports ONNX Runtime without this tells its makers of the machine and of each model, and gets a number of
# theirs in a folder of theirs. They ask too early for onnxruntime.disable_telemetry_events to help.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
