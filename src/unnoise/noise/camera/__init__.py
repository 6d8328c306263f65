"""The noise of a camera, from repeated or dark and bright frames, and the file it is kept in."""
