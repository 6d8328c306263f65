"""Small raw photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

RGGB = (0, 1, 1, 2)


def dng(path: Path, mosaic: np.ndarray, pattern: tuple[int, ...] = RGGB) -> Path:
    """A raw photograph in the format of DNG, with the tags that LibRaw needs."""
    unit = [part for value in np.eye(3).ravel() for part in (int(value), 1)]
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, bytes(pattern), True),  # CFAPattern
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50707, "B", 4, bytes((1, 1, 0, 0)), True),
        (50708, "s", 0, "a camera", True),
        (50710, "B", 3, bytes((0, 1, 2)), True),  # CFAPlaneColor
        (50711, "H", 1, 1, True),  # CFALayout
        (50714, "H", 1, 256, True),  # BlackLevel
        (50717, "I", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, unit, True),  # ColorMatrix1
        (50728, "2I", 3, [1, 1] * 3, True),  # AsShotNeutral
    ]
    photometric = 32803 if pattern else 34892
    tifffile.imwrite(path, mosaic, photometric=photometric, extratags=tags, metadata=None)
    return path
