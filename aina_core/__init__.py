"""AINA, An Image Nearness Analysis: what counts as similar to a neural network."""

__version__ = "0.1.0"
