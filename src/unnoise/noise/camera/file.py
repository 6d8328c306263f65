"""The noise of all channels of a camera, and the file it is kept in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unnoise.errors import InputError
from unnoise.images.atomic import explained, probe, replacing
from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import from_dict

FORMAT = 1
"""Version of the file; readers refuse newer ones."""


@dataclass(frozen=True)
class Camera:
    """A noise model per channel.

    Parameters
    ----------
    channels : tuple of NoiseModel
        One for every channel of the images, or one for all.
    source : str
        Where it comes from, for people.
    notes : tuple of str
        What the calibration found, for people.

    Examples
    --------
    >>> from unnoise.noise.noise_models import PoissonGauss
    >>> camera = Camera((PoissonGauss(2.0, 100.0, 9.0),), source="dark and bright frames")
    >>> Camera.from_json(camera.to_json()) == camera
    True
    """

    channels: tuple[NoiseModel, ...]
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.channels:
            raise InputError("a camera needs the noise of one channel at least; calibrate again")

    def models(self, channels: int) -> tuple[NoiseModel, ...]:
        """The models of an image with so many channels.

        Raises
        ------
        InputError
            If the numbers differ and the camera has more than one model.
        """
        if len(self.channels) == 1:
            return self.channels * channels
        if len(self.channels) != channels:
            raise InputError(
                f"the camera file describes {len(self.channels)} channels but the image has "
                f"{channels}; calibrate with frames of the same channels"
            )
        return self.channels

    def to_json(self) -> str:
        """The camera as text; numbers keep all their digits, arrays take a line each."""
        head = {"format": FORMAT, "source": self.source, "notes": list(self.notes)}
        lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in head.items()]
        rows = (
            [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in model.to_dict().items()]
            for model in self.channels
        )
        models = ["    {\n      " + ",\n      ".join(each) + "\n    }" for each in rows]
        lines.append('"channels": [\n' + ",\n".join(models) + "\n  ]")
        return "{\n  " + ",\n  ".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Camera:
        """A camera from its text.

        Raises
        ------
        InputError
            If the text is no camera, is newer than this version, or holds values that do not fit.
        """
        try:
            values: Any = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise InputError(f"this is no camera file ({error}); calibrate again") from error
        version = values.get("format") if isinstance(values, dict) else None
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise InputError('this is no camera file: "format" is missing; calibrate again')
        if version > FORMAT:
            raise InputError(
                f"the camera file has format {version} but this unnoise reads up to {FORMAT}; "
                f"update unnoise or calibrate again"
            )
        channels, source, notes = (values.get(k) for k in ("channels", "source", "notes"))
        if not isinstance(channels, list):
            raise InputError('the camera file lacks the list "channels"; calibrate again')
        notes = notes if isinstance(notes, list) else []
        return cls(tuple(map(from_dict, channels)), str(source or ""), tuple(map(str, notes)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Camera:
        """Read a camera file.

        Raises
        ------
        InputError
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(f"no such camera file: {path}; check the name") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read as a camera file; name a file that unnoise calibrate wrote"
            ) from error
        try:
            return cls.from_json(text)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the file at once: it appears whole or not at all.

        Raises
        ------
        InputError
            If it exists or cannot be written.
        """
        # Names whose bytes are no UTF-8 as JSON has them: \udcff.
        path, text = Path(path), self.to_json().encode("utf-8", "backslashreplace")
        check_place(path, overwrite=overwrite)
        with explained(path, len(text)), replacing(path) as part:
            part.write_bytes(text)


def check_place(path: Path, *, overwrite: bool = False) -> None:
    """Find out before long work whether a camera file could be written; makes its folder.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() != ".json":
        raise InputError(f"{path} is no name for a camera file; name it like camera.json with -o")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another name with -o")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; add --overwrite or choose another name with -o")
    with explained(path):
        probe(path)


def _refuse(name: str) -> Any:
    """JSON has no NaN and no infinity, but Python's reader takes them."""
    raise InputError(f"the camera file holds {name}, which is no number; calibrate again")
