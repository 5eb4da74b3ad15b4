"""Caffe: networks described by .prototxt files."""
