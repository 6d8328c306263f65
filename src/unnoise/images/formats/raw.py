"""Raw photographs of cameras, by LibRaw: the colours of the sensor are planes, developed at last.

Developing interpolates the colours that a pixel lacks from its neighbours, which correlates the
noise, so the planes are denoised before it: R, G1, G2 and B at half of the size, each with the
noise of single pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats._tiff_storage import COMPRESSIONS
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import Pixels, needs, reading
from unnoise.images.formats.registry import RAW
from unnoise.images.formats.writer import Encoded, Layout
from unnoise.images.image import Image

ABOUT = (
    About(
        "raw photographs with Bayer sensors",
        RAW,
        "rawpy (LibRaw)",
        "MIT, LGPL-2.1",
        "CYX: R, G1, G2, B",
        "results are developed into RGB of 16 bit, or are the planes where their name ends in "
        "`.ome.tif` or `.npy`",
        writes=False,
        extra="formats",
        tested="synthetic",
    ),
)
RESULTS = "", ".tif"
"""The end of the names of results, instead of that of OME-TIFF."""
DEVELOPED = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
ORDER = {"R": 0, "G1": 1, "G2": 2, "B": 3}
DEVELOPING: dict[str, Any] = {
    "use_camera_wb": True,
    "no_auto_bright": True,
    "gamma": (2.4, 12.92),  # the tone curve of sRGB
    "adjust_maximum_thr": 0.0,  # or the brightest pixel, noise and all, would be taken for white
}
"""How LibRaw develops: the same whatever the pixels are, so that results can be compared."""


def read(path: Path, axes: str | None = None) -> Image:
    """Open the mosaic of a raw photograph as four planes, decoded when they are asked for.

    Raises
    ------
    InputError
        For damaged files, and sensors without a Bayer pattern.
    AxesError
        If `axes` do not fit.
    """
    with reading(path, "raw photograph"), _opened(path) as raw:
        places = _places(path, raw)
        height, width = raw.sizes.height // 2, raw.sizes.width // 2
    shape = (4, height, width)
    pixels = Pixels(lambda: _planes(path, places), shape, np.dtype(np.uint16))
    return Image(
        pixels,
        ax.check(axes or "CYX", shape),
        channel_names=tuple(ORDER),
        path=path,
        metadata={
            "source": "raw",
            "places": places,
            "holds": ["EXIF"],
            "note": "its four colour planes (R, G1, G2, B) are denoised before it is developed; a "
            "name that ends in .ome.tif or .npy gets the planes",
        },
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with needs("rawpy", "formats").imread(str(path)) as raw:
        yield raw


def _places(path: Path, raw: Any) -> tuple[tuple[int, int], ...]:
    """Row and column of R, G1, G2 and B among 2 x 2 pixels."""
    if raw.raw_type.name != "Flat":
        raise InputError(
            f"{path} holds colours that were computed in the camera or since; export it as TIFF of "
            f"16 bit and denoise that"
        )
    numbers = np.asarray([[raw.raw_color(i, j) for j in range(2)] for i in range(2)])
    pattern = raw.raw_pattern
    is_bayer = pattern is not None and pattern.shape == (2, 2) and len(np.unique(numbers)) == 4
    names = [chr(raw.color_desc[n]) for n in range(4)] if is_bayer else []
    if sorted(names) != ["B", "G", "G", "R"]:
        raise InputError(
            f"{path} comes from a sensor without a Bayer pattern (X-Trans, or one colour); export "
            f"it as TIFF of 16 bit and denoise that"
        )
    found: dict[str, tuple[int, int]] = {}
    for n, name in enumerate(names):
        at = tuple(map(int, np.argwhere(numbers == n)[0]))
        key = name if name != "G" else "G2" if "G1" in found else "G1"
        found[key] = (at[0], at[1])
    return tuple(found[name] for name in ORDER)


def _planes(path: Path, places: tuple[tuple[int, int], ...]) -> NDArray:
    with reading(path, "raw photograph"), _opened(path) as raw:
        mosaic = raw.raw_image_visible
        height, width = (n // 2 * 2 for n in mosaic.shape)
        return np.stack([mosaic[i:height:2, j:width:2] for i, j in places])


def develop(path: Path, like: Image, dtype: np.dtype, compress: str | None) -> Layout | None:
    """How to develop a result, where its planes are all there and its name asks for it.

    Parameters
    ----------
    path : Path
        The final name.
    like : Image
        What `read` gave.
    dtype : numpy.dtype
        That of the planes; others are no photograph but e.g. their uncertainty.
    compress : str or None
        Compression of a TIFF.

    Raises
    ------
    InputError
        For unknown compressions.
    """
    suffix = path.suffix.lower()
    is_photo = like.axes == "CYX" and like.shape[0] == 4 and dtype == np.uint16
    is_asked = suffix in DEVELOPED and ".ome." not in path.name.lower()
    if not (is_photo and is_asked and like.path):
        return None
    source, places, kind = like.path, like.metadata["places"], COMPRESSIONS.get(compress or "none")
    if compress and (compress not in COMPRESSIONS or suffix not in (".tif", ".tiff")):
        raise InputError(f"{path} cannot be compressed by {compress}; try zlib, and .tif")

    def encode(part: Path, result: Any) -> None:
        planes = np.asarray(result)
        with reading(source, "raw photograph"), _opened(source) as raw:
            mosaic = raw.raw_image_visible
            height, width = (n // 2 * 2 for n in mosaic.shape)
            for (i, j), plane in zip(places, planes, strict=True):
                mosaic[i:height:2, j:width:2] = plane
            bits = 8 if suffix in (".jpg", ".jpeg") else 16
            rgb = raw.postprocess(output_bps=bits, **DEVELOPING)
        _write(part, rgb, suffix, kind)

    return Encoded(like.shape, dtype, encode)


LOST = ["values of the sensor", "EXIF"]
"""What a developed photograph does not hold of its raw file."""


def _write(part: Path, rgb: NDArray, suffix: str, compression: Any) -> None:
    """Write RGB as TIFF, PNG or JPEG."""
    if suffix == ".png":
        part.write_bytes(imagecodecs.png_encode(rgb))
    elif suffix in (".jpg", ".jpeg"):
        Pillow.fromarray(rgb).save(part, format="JPEG", quality=95, subsampling=0)
    else:
        tifffile.imwrite(
            part, rgb, photometric="rgb", compression=compression, metadata=None, software=False
        )
