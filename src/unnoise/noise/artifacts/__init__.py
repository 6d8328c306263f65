"""What else is special in the pixels: clipping, bad pixels, stripes, traces of processing."""
