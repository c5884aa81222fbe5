"""Draw a digit, watch a neural network read it, and see why."""

import os

__version__ = "0.1.0"

# Without this, importing ONNX Runtime reports the machine and every model to its makers and stores an identifier of
# theirs in a folder of theirs. It does so too early for onnxruntime.disable_telemetry_events to prevent it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
