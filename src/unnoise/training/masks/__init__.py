"""Which pixels are hidden, and what stands in their place."""
