"""A real loopback offload against the simulation of it."""
