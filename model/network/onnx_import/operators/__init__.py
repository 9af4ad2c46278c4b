"""The import of each ONNX operator: one small function, found in a table by the operator's name."""
