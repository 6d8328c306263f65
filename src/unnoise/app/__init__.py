"""Whole jobs from files to files, as generators of events, and the front ends that show these."""
