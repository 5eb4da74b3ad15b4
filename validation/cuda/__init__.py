"""Studies on NVIDIA GPUs: the campaign, the published tables, the data sheets."""
