"""What the noise of an image is like, measured from the image itself."""
