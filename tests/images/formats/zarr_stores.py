"""What tests of Zarr share: stores as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

RNG = np.random.default_rng(0)


def pixels_of(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(1).integers(1, 200, shape).astype(dtype)


def ngff(
    path: Path,
    pixels: np.ndarray,
    axes: str = "ZYX",
    version: str = "0.5",
    *,
    levels: int = 1,
    units: dict[str, str] | None = None,
    scale: dict[str, float] | None = None,
    more: dict[str, Any] | None = None,
    attributes: dict[str, Any] | None = None,
    **array: Any,
) -> Path:
    """An image of OME-Zarr, written without the code that is tested."""
    old = version < "0.5"
    group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
    types = {"T": "time", "C": "channel"}
    named = [
        {"name": k.lower(), "type": types.get(k, "space")}
        | ({"unit": units[k]} if units and k in units else {})
        for k in axes
    ]
    datasets = []
    for level in range(levels):
        step = tuple(slice(None, None, 2**level if k in "YX" else 1) for k in axes)
        own = group.create_array(
            str(level),
            data=np.ascontiguousarray(pixels[step]),
            chunks=array.get("chunks", (1,) * (pixels.ndim - 2) + (16, 16)),
            chunk_key_encoding={"name": "v2", "separator": "/"} if old else None,
            **{k: v for k, v in array.items() if k != "chunks"},
        )
        factors = [(scale or {}).get(k, 1.0) * (2**level if k in "YX" else 1) for k in axes]
        steps = [{"type": "scale", "scale": factors}]
        datasets.append({"path": own.basename, "coordinateTransformations": steps})
    multiscale = {"axes": named, "datasets": datasets, **(more or {})}
    others = attributes or {}
    if old:
        group.attrs.put({"multiscales": [{"version": version, **multiscale}], **others})
    else:
        group.attrs.put({"ome": {"version": version, "multiscales": [multiscale], **others}})
    return path
