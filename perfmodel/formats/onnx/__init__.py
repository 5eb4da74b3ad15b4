"""ONNX: reading .onnx files without loading their weights."""
