"""Changes of JSON that leave it JSON: random bytes hardly ever get behind a parser."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 1, 0.5, 2**31, 2**63, 10**400, 1e308, -1e-320)
VALUES += (float("nan"), float("inf"), "", "a", "../a", "nan", "1", "\0", "\ud800", [], {}, [[]])
"""What programs expect least."""


def changed(data: bytes, rng: random.Random) -> bytes | None:
    """The same with up to three values changed, of the whole or of one of its lines.

    Parameters
    ----------
    data : bytes
    rng : random.Random

    Returns
    -------
    bytes or None
        None where nothing in it is JSON.
    """
    lines = data.split(b"\n")
    for i in (None, rng.randrange(len(lines))):
        try:
            value = [json.loads(data if i is None else lines[i])]
            for _ in range(rng.randint(1, 3)):
                _change(value, rng)
            text = json.dumps(value[0] if value else None).encode()
        except (ValueError, RecursionError):
            continue
        return text if i is None else b"\n".join([*lines[:i], text, *lines[i + 1 :]])
    return None


def _change(whole: list[Any], rng: random.Random) -> None:
    places = list(_places(whole))
    if not places:
        return
    (inside, key), (other, at) = rng.choice(places), rng.choice(places)
    old, kind = inside[key], rng.randrange(5)
    if kind == 0:
        del inside[key]
    elif kind == 1:
        inside[key] = copy.deepcopy(other[at])
    elif kind == 2 and isinstance(inside, list):
        inside.insert(key, copy.deepcopy(old))
    elif kind == 3 and isinstance(old, int | float):
        inside[key] = rng.choice((-old, old + 1, old - 1, float(old) if abs(old) < 1e300 else 0))
    else:
        inside[key] = copy.deepcopy(rng.choice(VALUES))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every value within one, by what holds it and where."""
    keys: Iterable[Any] = value if isinstance(value, dict) else ()
    if isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])
