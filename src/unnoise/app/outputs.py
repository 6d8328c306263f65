"""Whether results can be written, found out before long work, and what they will not carry."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from unnoise.app.events import Message
from unnoise.app.files import OutputOptions
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image


def check_outputs(
    images: Sequence[Image],
    targets: Sequence[Path],
    spreads: Sequence[Path | None],
    writing: OutputOptions,
) -> list[Message]:
    """Find out before long work whether all results can be written, and what they do not carry."""
    needed: dict[Path, int] = defaultdict(int)
    told: list[Message] = []
    for image, target, spread in zip(images, targets, spreads, strict=True):
        kind = writing.type_of(image, target)
        if writing.dtype is None and kind != image.dtype:
            told.append(
                Message(
                    f"{target} gets {kind}: of so few grey levels the fractions matter, which "
                    f"{image.dtype} has not; --dtype {image.dtype} keeps the type"
                )
            )
        output = writing.create(target, image, kind)
        outputs = [output] if spread is None else [output, writing.create_spread(spread, image)]
        for one in outputs:
            one.check()
            needed[one.room] += one.needed
        texts = formats.rewritten(image, target), formats.not_carried(output, image)
        told += map(Message, filter(None, texts))
        if spread and writing.skip_existing and spread.exists():
            told.append(Message(f"{spread} is there without its result, so both are made"))
    for folder, size in needed.items():
        if shutil.disk_usage(folder).free < size:
            raise InputError(
                f"no space left on the disk for the results in {folder} (they need "
                f"{size / 1e9:.1f} GB); free some space or choose another place with -o"
            )
    return told
