"""Raw photographs: the planes of the sensor denoised before developing, or the colours after it.

    python benchmarks/raw_photographs.py                      # instant, three photographs
    python benchmarks/raw_photographs.py --method n2v --steps 400 --pictures u02

A picture becomes linear light (a power of 2.2), is sampled through a Bayer pattern, and gets the
noise of photons and of reading; LibRaw develops it in the same way each time. PSNR in sRGB of 16
bit against the developed mosaic without noise, eight pixels of the rim left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

import unnoise
from common import data, record
from unnoise.images import formats
from unnoise.images.formats.raw import DEVELOPING

BLACK, WHITE, READ_NOISE, RIM, SIDE = 256, 4095, 12.0, 8, 800
GAINS = (2.0, 8.0)
"""Grey levels per photon: a good exposure has 1900 photons, or 480."""
UNIT = [part for value in np.eye(3).ravel() for part in (int(value), 1)]
TAGS = [
    (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
    (33422, "B", 4, bytes((0, 1, 1, 2)), True),  # CFAPattern
    (50706, "B", 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
    (50707, "B", 4, bytes((1, 1, 0, 0)), True),
    (50708, "s", 0, "a camera", True),
    (50710, "B", 3, bytes((0, 1, 2)), True),  # CFAPlaneColor
    (50711, "H", 1, 1, True),  # CFALayout
    (50714, "H", 1, BLACK, True),
    (50717, "I", 1, WHITE, True),
    (50721, "2i", 9, UNIT, True),  # ColorMatrix1
    (50728, "2I", 3, [1, 1] * 3, True),  # AsShotNeutral
]


def mosaic(picture: NDArray) -> NDArray:
    """Light on the sensor behind a Bayer pattern, from 0 to 1."""
    light = (picture / 255.0) ** 2.2
    bayer = light[..., 1].copy()
    bayer[::2, ::2], bayer[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    return bayer


def write(path: Path, counts: NDArray) -> Path:
    """Write a DNG."""
    pixels = np.clip(np.rint(counts), 0, WHITE).astype(np.uint16)
    tifffile.imwrite(path, pixels, photometric=32803, extratags=TAGS, metadata=None)
    return path


def developed(path: Path) -> NDArray:
    """What LibRaw makes of a raw photograph, as unnoise asks it to."""
    with rawpy.imread(str(path)) as raw:
        rgb: NDArray = raw.postprocess(output_bps=16, **DEVELOPING)
    return rgb


def compare(folder: Path, light: NDArray, gain: float, options: dict[str, Any]) -> dict[str, Any]:
    """PSNR of the noisy photograph, and of both ways."""
    rng = np.random.default_rng(0)
    top = (WHITE - BLACK) * 0.95
    photons = gain * rng.poisson(light * top / gain) + rng.normal(0, READ_NOISE, light.shape)
    noisy = write(folder / "noisy.dng", BLACK + photons)
    truth = developed(write(folder / "truth.dng", BLACK + light * top))
    inner = (slice(RIM, -RIM),) * 2

    def score(rgb: NDArray) -> float:
        error = (truth[inner].astype(float) - rgb[inner].astype(float)) / 65535
        return float(-10 * np.log10(np.square(error).mean()))

    found, started = {"noisy": score(developed(noisy))}, time.process_time()
    planes = unnoise.open(noisy)
    clean = unnoise.denoise(planes, **options)
    with formats.create(folder / "before.tif", planes) as out:
        out.write({}, clean[None, None, :, None])
    found["planes, then developed"] = score(tifffile.imread(folder / "before.tif"))
    found["planes cpu_s"], started = time.process_time() - started, time.process_time()
    tifffile.imwrite(folder / "after.tif", developed(noisy), photometric="rgb")
    found["developed, then colours"] = score(
        np.asarray(unnoise.denoise(unnoise.open(folder / "after.tif"), **options))
    )
    found["colours cpu_s"] = time.process_time() - started
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="instant")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--pictures", nargs="+", default=["u02", "u05", "u11"])
    args = parser.parse_args()
    options = {"method": args.method} | ({"steps": args.steps} if args.steps else {})
    rows = []
    for name in args.pictures:
        place = data("natural") / "unsplash" / f"{name}.jpg"
        picture = np.asarray(Pillow.open(place).convert("RGB"), float)
        top, left = (n // 2 - SIDE // 2 for n in picture.shape[:2])
        light = mosaic(picture[top : top + SIDE, left : left + SIDE])
        for gain in GAINS:
            with tempfile.TemporaryDirectory() as folder:
                row = {"picture": name, "gain": gain, **compare(Path(folder), light, gain, options)}
            rows.append(row)
            record(f"raw_photographs_{args.method}", {"seed": 0, **options}, rows)
            print(
                {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()}, flush=True
            )


if __name__ == "__main__":
    main()
