"""What every ONNX operator becomes: one small function for each, found in a table by the operator's name."""
