"""Plans: a network cut into segments on units and links."""
