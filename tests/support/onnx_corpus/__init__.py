"""ONNX models of known architectures at reduced size, node by node as exporters write them."""
