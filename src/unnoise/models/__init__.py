"""A model: settings, statistics, weights and noise; its folder, and prediction in tiles."""
