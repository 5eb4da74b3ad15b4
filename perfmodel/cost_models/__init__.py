"""Cost models: how long kernels take on a target, how sure that is, and how it is learned."""
