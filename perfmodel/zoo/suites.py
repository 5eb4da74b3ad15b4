"""Sets of networks that belong together: the tests of AI-Benchmark."""

from __future__ import annotations

AI_BENCHMARK = (
    ("Object recognition", "mobilenet_v2"),
    ("Object recognition, accurate", "inception_v3@resolution=346"),
    ("Face recognition", "mobilenet_v3_large@resolution=512"),
    ("Several networks at once", "mobilenet_v2"),
    ("Text recognition", "crnn@image_height=64,image_width=200"),
    ("Deblurring", "pynet"),
    ("Super-resolution", "vdsr"),
    ("Super-resolution, adversarial", "srgan"),
    ("Bokeh", "unet"),
    ("Semantic segmentation", "deeplab_v3plus"),
    ("Photo enhancement", "dped"),
    ("Text completion", "lstm_text"),
)
"""(test, spec) of AI-Benchmark's twelve tests, version 4 (Ignatov et al. 2019, arXiv:1910.06663;
https://ai-benchmark.com/tests.html). Image sizes are the benchmark's where it prints them; a
network's own note says where a size is ours. The fourth test runs several instances at once."""
