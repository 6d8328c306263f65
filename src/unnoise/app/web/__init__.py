"""``unnoise app``: a page in the browser, on this machine or a server of a facility."""
