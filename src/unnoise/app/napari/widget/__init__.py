"""The dock widget; nothing outside of this folder imports Qt."""

from unnoise.app.quiet_threads import quiet_threads

quiet_threads()  # before PyTorch loads, as the command line does
