"""Bytes of strangers against everything of ours that reads them."""
