"""Small files of Imaris, which nothing else in Python writes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def letters(text: object) -> np.ndarray:
    """A text as Imaris writes it."""
    return np.frombuffer(str(text).encode(), "S1")


def write(path: Path, pixels: np.ndarray, **facts: object) -> Path:
    """A file of an image (t, c, z, y, x), in chunks that reach beyond it, with a smaller copy."""
    times, channels, depth, height, width = pixels.shape
    with h5py.File(path, "w") as file:
        for level in range(2):
            for t, c in np.ndindex(times, channels):
                group = file.create_group(
                    f"DataSet/ResolutionLevel {level}/TimePoint {t}/Channel {c}"
                )
                data = pixels[t, c, :, :: level + 1, :: level + 1]
                padding = [(0, -n % size) for n, size in zip(data.shape, (4, 16, 16), strict=True)]
                chunks = (4, 16, 16)
                padded = np.pad(data, padding, constant_values=9)
                group.create_dataset("Data", data=padded, chunks=chunks, compression="gzip")
                for letter, size in zip("ZYX", data.shape, strict=True):
                    group.attrs[f"ImageSize{letter}"] = letters(size)
        attributes = file.create_group("DataSetInfo/Image").attrs
        known = {"Unit": "um", "RecordingDate": "2020-05-06 07:08:09.000"}
        known |= {f"ExtMin{i}": 10 for i in range(3)}
        known |= {"ExtMax0": 10 + width / 4, "ExtMax1": 10 + height / 2, "ExtMax2": 10 + depth}
        for name, value in (known | facts).items():
            attributes[name] = letters(value)
        for c in range(channels):
            attributes = file.create_group(f"DataSetInfo/Channel {c}").attrs
            attributes["Name"] = letters(f"dye {c}")
            attributes["Color"] = letters(f"{c / 2:.3f} 1.000 0.000")
        attributes = file.create_group("DataSetInfo/TimeInfo").attrs
        for t in range(times):
            attributes[f"TimePoint{t + 1}"] = letters(f"2020-05-06 07:08:{9 + 2 * t:02d}.500")
    return path
