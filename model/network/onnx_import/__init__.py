"""Networks from ONNX models: reading and folding graphs, tensors as fmaps, one function for each operator."""
