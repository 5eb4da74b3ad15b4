"""TFLite: reading, writing and cutting .tflite files."""
