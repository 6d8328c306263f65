"""Crops, masks, methods, losses and the loop: from images to a model."""
