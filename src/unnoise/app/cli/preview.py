"""The picture of ``--preview``: noisy beside clean, written anew whenever a run shows more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unnoise.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unnoise.app.events import Preview
    from unnoise.app.files import PreviewOptions

LEAST_SIDE, GAP = 256, 8
"""Pixels of a side below which a piece is enlarged; pixels between the two."""
DARK, BRIGHT = 1.0, 99.5
"""Percentiles of the noisy piece, which stay the same while a run goes on."""
COLOURS = ((0, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 1))
"""Of the channels of what is no photograph, added."""


class PreviewFile:
    """A PNG that shows the last preview, and is whole at any time.

    Parameters
    ----------
    place : path
    overwrite : bool
        Whether a picture that lies there may go.

    Raises
    ------
    InputError
        If the place cannot be used.
    """

    def __init__(self, place: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.place, self.problem = Path(place), ""
        if self.place.suffix.lower() != ".png":
            raise InputError(f"--preview {place} is no PNG; choose a name that ends in .png")
        if self.place.exists() and not overwrite:
            raise InputError(f"{place} exists; add --overwrite or choose another --preview")
        if self.place.is_dir() or not os.access(self.place.absolute().parent, os.W_OK):
            raise InputError(f"--preview {place} cannot be written; choose another place")

    def show(self, event: Preview) -> str:
        """Write the picture; what goes wrong costs a line, once, and never the run."""
        from unnoise.images import formats

        try:
            formats.save(self.place, picture(event), overwrite=True)
        except (InputError, OSError) as error:
            text, self.problem = ("" if self.problem else f"no preview: {error}"), str(error)
            return text
        return ""


def wanted(
    place: str | None, *, overwrite: bool
) -> tuple[PreviewFile | None, PreviewOptions | None]:
    """The file of ``--preview``, and the request for previews to a job; nothing without it."""
    from unnoise.app.files import PreviewOptions

    if place is None:
        return None, None
    return PreviewFile(place, overwrite=overwrite), PreviewOptions(file=Path(place))


def picture(event: Preview) -> NDArray[np.uint8]:
    """Noisy beside clean, (y, x, 3), both between the same levels.

    Examples
    --------
    >>> import numpy as np
    >>> from unnoise.app.events import Preview
    >>> x = np.arange(64.0 * 64, dtype=np.float32).reshape(64, 64)
    >>> picture(Preview("a.tif", 1, 0.5, (0, 0), x, x)).shape
    (256, 520, 3)
    """
    import numpy as np

    noisy, clean = (x[..., None] if x.ndim == 2 else x for x in (event.noisy, event.clean))
    count = noisy.shape[-1]
    finite = [noisy[..., c][np.isfinite(noisy[..., c])] for c in range(count)]
    ends = [np.percentile(x, (DARK, BRIGHT)) if x.size else np.zeros(2) for x in finite]
    low, high = np.transpose(ends)
    mix = np.ones((1, 3)) if count == 1 else np.array((COLOURS * count)[:count])
    mix = np.eye(3) if event.is_rgb and count == 3 else mix
    times = max(-(-LEAST_SIDE // max(noisy.shape[:2])), 1)
    parts = []
    for pixels in (noisy, clean):
        scaled = (np.nan_to_num(pixels, posinf=0, neginf=0) - low) / np.maximum(high - low, 1e-12)
        shown = np.rint(np.clip(np.clip(scaled, 0, 1) @ mix, 0, 1) * 255).astype(np.uint8)
        parts.append(shown.repeat(times, axis=0).repeat(times, axis=1))
    gap = np.full((parts[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([parts[0], gap, parts[1]])
