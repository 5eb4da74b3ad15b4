"""Files of networks in and out: TFLite, ONNX, ncnn and Caffe."""
