"""A plugin of napari: readers, writers, sample data, and a widget that denoises layers."""
