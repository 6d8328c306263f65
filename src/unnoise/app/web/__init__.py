"""A page in the browser: `unnoise app`."""
