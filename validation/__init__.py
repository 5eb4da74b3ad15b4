"""The project's evidence, run from a checkout: accuracy studies and experiments on hardware."""
