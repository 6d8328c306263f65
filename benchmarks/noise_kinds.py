"""The picture of docs/know_your_noise.md: kinds of noise and what `unnoise.inspect` makes of them.

    python benchmarks/noise_kinds.py        # writes docs/noise_kinds.png and prints the verdicts

The scene is scikit-image's coins, so the truth of every verdict is known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage
from skimage import data as samples

import unnoise
from common import HERE

SD = 20.0


def kinds() -> dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]]:
    """Noisy versions of a scene by name."""

    def rows(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        white = rng.standard_normal(t.shape)
        return t + SD * np.sqrt(5) * ndimage.uniform_filter1d(white, 5, axis=1)

    def blurred(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return t + SD * 3 * ndimage.uniform_filter(rng.standard_normal(t.shape), 3)

    def offsets(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        lines = rng.standard_normal((len(t), 1))
        return t + SD / np.sqrt(2) * (rng.standard_normal(t.shape) + lines)

    return {
        "independent, the same everywhere": lambda t, rng: t + SD * rng.standard_normal(t.shape),
        "photons and a camera": lambda t, rng: 2.0 * rng.poisson(t / 2.0) + 100.0,
        "spread along rows": rows,
        "blurred over 3x3 pixels": blurred,
        "rows shifted as a whole": offsets,
        "cut off at zero": lambda t, rng: np.clip(
            t - 60 + SD * rng.standard_normal(t.shape), 0, 255
        ),
    }


def main() -> None:
    truth = samples.coins()[:300, :384].astype(np.float64)
    made = kinds()
    figure = Figure(figsize=(9, 2.35 * len(made)), layout="constrained")
    axes = figure.subplots(len(made), 3)
    for row, (name, make) in zip(axes, made.items(), strict=True):
        noisy = make(truth, np.random.default_rng(0))
        report = unnoise.inspect(noisy)
        channel = report.channels[0]
        along = " and ".join(report.correlation_axes) or "none"
        print(f"{name}: correlated along {along}; method {report.method}")
        for warning in report.advice.warnings:
            print(f"    {warning}")
        row[0].imshow(noisy[100:200, 60:188], cmap="gray")
        row[0].set_title(name, fontsize=9, loc="left")
        row[0].set_axis_off()
        acf, curve = channel.correlation, channel.curve
        assert acf is not None
        assert curve is not None
        rho = acf.rho.copy()
        r = len(rho) // 2
        rho[r, r] = np.nan
        row[1].imshow(rho, cmap="RdBu_r", vmin=-0.8, vmax=0.8, extent=(-r - 0.5, r + 0.5) * 2)
        row[1].set_title(f"correlation by lag: {along}", fontsize=9, loc="left")
        row[2].errorbar(
            curve.signal, curve.variance, 1.96 * curve.error, fmt="o", ms=3, lw=1, color="#1f5fa8"
        )
        x = np.linspace(curve.signal.min(), curve.signal.max(), 50)
        row[2].plot(x, curve.at(x), color="#c2410c", lw=1.2)
        row[2].set_ylim(0, None)
        row[2].set_title(f"variance against intensity: {report.method}", fontsize=9, loc="left")
        row[2].tick_params(labelsize=7)
        row[1].tick_params(labelsize=7)
    path = HERE.parent / "docs" / "noise_kinds.png"
    figure.savefig(path, dpi=90)
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
