"""ncnn: networks described by .param files."""
