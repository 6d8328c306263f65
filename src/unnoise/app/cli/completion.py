"""What a shell offers for the values of options; where it is nothing, shells offer files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Offered = list[tuple[str, str]]
"""Values, and what they mean."""
Offers = Callable[[str], Offered]


def words(**values: str) -> Offers:
    """What offers fixed words.

    Examples
    --------
    >>> words(cpu="the processor", cuda="a GPU of NVIDIA")("cp")
    [('cpu', 'the processor')]
    """
    return lambda incomplete: _fitting(values, incomplete)


def files(incomplete: str) -> Offered:
    """Nothing, so that a shell offers its files."""
    return []


def methods(incomplete: str) -> Offered:
    """The methods, those of installed packages too."""
    from unnoise.config.methods import known
    from unnoise.errors import UnnoiseError

    try:
        found = {name: method.line for name, method in known().items()}
    except UnnoiseError:
        return []
    return _fitting({"auto": "measures the noise, then chooses", **found}, incomplete)


def samples(incomplete: str) -> Offered:
    """The sample images."""
    from unnoise.app.samples import SAMPLES

    found = {name: kind.about for name, kind in SAMPLES.items()}
    return _fitting({**found, "all": "every one"}, incomplete)


def settings(incomplete: str) -> Offered:
    """Names of settings, as ``--set`` takes them, up to the equals sign."""
    from unnoise.config.config import Config

    name, equals, _ = incomplete.partition("=")
    if equals:
        return []
    found: dict[str, str] = {}
    for section, values in Config().values().items():
        inner = values if isinstance(values, dict) else {}
        found |= {f"{section}.{key}=": f"default {value}" for key, value in inner.items()}
    return _fitting(found, name)


def model_folders(incomplete: str) -> Offered:
    """Model folders beside what is typed; where there are none, a shell offers all folders."""
    folder, start = os.path.split(incomplete)
    try:
        places = sorted(Path(folder or ".").expanduser().iterdir())
    except OSError:
        return []
    names = [p.name for p in places if p.name.startswith(start) and (p / "config.yaml").is_file()]
    return [(os.path.join(folder, name), "model") for name in names]


def _fitting(values: dict[str, str], incomplete: str) -> Offered:
    return [(name, about) for name, about in values.items() if name.startswith(incomplete)]


DEVICES = words(auto="the fastest", cpu="the processor", cuda="a GPU of NVIDIA", mps="of Apple")
BACKENDS = words(torch="PyTorch", onnx="ONNX Runtime", bfloat16="16 bits: faster, less exact")
PRESETS = words(fast="minutes", paper="the reference's, hours")
NAN = words(keep="as they are", fill="from around", refuse="an error")
PAIRS = words(T="frames", S="samples", Z="slices")
STRUCTS = words(
    **{"horizontal:9": "rows", "vertical:9": "columns", "cross:5": "both", "square:3": "around"}
)
TYPES = words(uint8="", uint16="", float32="keeps fractions", float64="")
COMPRESSIONS = words(none="", zlib="", zstd="", lzw="", packbits="", lzma="", blosc="of Zarr")
KINDS = words(auto="", poisson_gauss="", emccd="", curve="", histogram="", mixture="")
LOGGERS = words(tensorboard="", wandb="")
