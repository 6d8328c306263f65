"""An image: lazy pixels, axes, units, channels; statistics; missing pixels; formats of files."""
