"""Jobs of a front end: what is asked for, what it will take, and a queue that does it."""
