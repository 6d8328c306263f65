"""The dock widget; nothing outside of this folder imports Qt."""
