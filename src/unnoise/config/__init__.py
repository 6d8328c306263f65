"""Every setting with its default, the methods by name, and what cannot be combined."""
