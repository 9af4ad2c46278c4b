"""Networks from ONNX models: graphs are read and folded, tensors become fmaps, each operator has a function."""
