"""The CUDA runner: kernels and networks on an NVIDIA GPU, from Jetson Nano to H200.

Frameworks `vanilla` (our own plain CUDA kernels, one an operator) and `cudnn` (NVIDIA's libraries,
fused); precisions fp32, tf32 and fp16. Needs pycuda, NVRTC and, for `cudnn`, cuDNN and cuBLASLt,
all loaded on first use. `python -m perfmodel.runners.cuda.campaign --help` measures.
"""
