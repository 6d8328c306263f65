"""TIFF files under the names that microscopes and slide scanners give them; results are OME-TIFF.

Their tags are read in `_tiff_vendors`, whatever the name of a file is.
"""

from __future__ import annotations

from unnoise.images.formats.about import About
from unnoise.images.formats.tiff import numbers, read

__all__ = ["ABOUT", "numbers", "read"]
OWN = "tifffile, imagecodecs", "BSD-3"
ABOUT = (
    About(
        "LSM (Zeiss)",
        (".lsm",),
        *OWN,
        "STCZYX, positions and tiles are S; the plane that was scanned is YX",
        "pixel size, frame interval, names and colours of channels, date, objective",
        writes=False,
        tested="files of the tests",
    ),
    About(
        "STK (MetaMorph)",
        (".stk",),
        *OWN,
        "ZYX or TYX, or by `--axes`",
        "pixel size, frame interval, date",
        writes=False,
        tested="files of the tests",
    ),
    About(
        "SVS (Aperio), NDPI (Hamamatsu): the full level of a slide",
        (".svs", ".ndpi"),
        *OWN,
        "YXC, YX, ZYX",
        "pixel size, magnification; the pyramid is built anew",
        writes=False,
        tested="files of the tests",
    ),
)
