"""Is the flux of point sources kept? 225 Gaussian sources at random places on a flat background.

    python benchmarks/point_sources.py                      # instant, FWHM 2 and 3 pixels
    python benchmarks/point_sources.py --methods instant n2v --fwhm 2

A source is summed within 4 pixels, less the mean of a ring; printed are mean flux over truth and
its standard error. Background 10 electrons a pixel, read noise 2; n2v with 300 steps; float32.
"""

from __future__ import annotations

import argparse

import numpy as np

import unnoise

SIDE, EACH, BACKGROUND, READ_NOISE = 15, 20, 10.0, 2.0
Places = list[tuple[float, float]]


def scene(electrons: float, fwhm: float) -> tuple[np.ndarray, Places]:
    """A noisy picture and where its sources are; pixels integrate over 4x4 points."""
    rng = np.random.default_rng(0)
    sigma, size = fwhm / 2.3548, EACH * (SIDE + 1)
    y, x = np.mgrid[:size, :size].astype(float)
    truth, places = np.full((size, size), BACKGROUND), []
    for cell in np.ndindex(SIDE, SIDE):
        a, b = EACH * (1 + np.array(cell)) + rng.uniform(-0.5, 0.5, 2)
        places.append((a, b))
        part = tuple(slice(12 + EACH * i, 29 + EACH * i) for i in cell)
        points = np.array([-0.375, -0.125, 0.125, 0.375])
        along = [
            np.exp(-((axis[part][..., None] + points - at) ** 2) / (2 * sigma**2)).mean(-1)
            for axis, at in ((y, a), (x, b))
        ]
        truth[part] += electrons * along[0] * along[1] / (2 * np.pi * sigma**2)
    noisy = rng.poisson(truth) + rng.normal(100, READ_NOISE, truth.shape)
    return noisy.astype(np.float32), places


def flux(picture: np.ndarray, places: Places) -> np.ndarray:
    """Sum of every source less its background."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    found = []
    for a, b in places:
        away = np.hypot(y - a, x - b)
        ring = picture[(away > 5.5) & (away < 9)].mean(dtype=np.float64)
        found.append((picture[away <= 4].astype(np.float64) - ring).sum())
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["instant"])
    parser.add_argument("--fwhm", nargs="+", type=float, default=[2.0, 3.0])
    parser.add_argument("--electrons", nargs="+", type=float, default=[100, 500, 2000, 10_000])
    args = parser.parse_args()
    for method in args.methods:
        budget = {"steps": 300} if method == "n2v" else {}
        for fwhm in args.fwhm:
            for electrons in args.electrons:
                noisy, places = scene(electrons, fwhm)
                result = unnoise.denoise(noisy, method=method, **budget)
                before, after = (flux(p, places) / electrons for p in (noisy, result))
                error = after.std() / len(after) ** 0.5
                print(
                    f"{method:8} FWHM {fwhm:g}, {electrons:6g} electrons: {after.mean():.3f} "
                    f"+- {error:.3f} (noisy {before.mean():.3f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
