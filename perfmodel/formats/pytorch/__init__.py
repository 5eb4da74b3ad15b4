"""PyTorch modules as graphs: exported by torch.export, operator by operator of ATen."""
