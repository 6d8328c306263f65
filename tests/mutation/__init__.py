"""Whether tests see small faults of the code that they test."""
