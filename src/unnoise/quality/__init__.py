"""Honest numbers about a clean image where there is no truth to compare it with."""
