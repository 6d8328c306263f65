"""Events of a job as bytes and back, for a pipe: a line of JSON, and the pixels after it.

No pickle: what comes from another process may make events, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Predicting, Progress, Stopped, Warned
from unnoise.errors import Interrupted, UnnoiseError
from unnoise.noise.confidence_interval import Interval

TOO_MUCH = (RecursionError, OverflowError, SyntaxError)
"""What Python and NumPy raise of texts that are nested, long, or made to be names of types."""
PART = 2**24
"""Bytes that are read at once."""
EVERY = 0.1
"""Seconds between two events of progress that are passed on: people see no more."""


@dataclass(frozen=True)
class Problem:
    """How a job ended badly: a sentence, and whether the input or the options are to blame."""

    text: str
    misuse: bool = False


Framed = Event | Problem
_KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Framed), Warned)}


def encode(event: Framed) -> bytes:
    r"""An event as bytes.

    Examples
    --------
    >>> encode(Problem("no such file: a.tif", misuse=True))
    b'{"event": "Problem", "text": "no such file: a.tif", "misuse": true, "pixels": []}\n'
    """
    arrays: list[NDArray] = []
    facts = {f.name: _plain(getattr(event, f.name), arrays) for f in fields(event)}
    kinds = [[array.dtype.str, *array.shape] for array in arrays]
    line = {"event": type(event).__name__, **facts, "pixels": kinds}
    return b"".join([json.dumps(line).encode(), b"\n", *(array.tobytes() for array in arrays)])


def decode(file: IO[bytes]) -> Framed | None:
    """The next event of a pipe; None at its end, also where it was cut off.

    Raises
    ------
    UnnoiseError
        If these are no events.
    """
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    try:
        facts = json.loads(line)
        arrays = []
        for kind, *shape in facts.pop("pixels"):
            is_shape = all(type(n) is int and n >= 0 for n in shape)  # a text times 10^12 is large
            if np.dtype(kind).kind not in "biuf" or not is_shape:
                raise ValueError(f"pixels of {kind} {shape}")
            size = math.prod(shape) * np.dtype(kind).itemsize
            content = _read(file, size)
            if len(content) < size:
                return None
            arrays.append(np.frombuffer(content, np.dtype(kind)).reshape(shape))
        kind = _KINDS[facts.pop("event")]
        found: Framed = kind(**{name: _value(value, arrays) for name, value in facts.items()})
    except (ValueError, LookupError, TypeError, AttributeError, *TOO_MUCH) as error:
        raise UnnoiseError(f"the process of the job said what is no event ({error})") from error
    return found


def _read(file: IO[bytes], size: int) -> bytes:
    """As many bytes as there are, up to `size`: at once a file would take memory for all first."""
    parts, left = list[bytes](), size
    while left > 0 and (part := file.read(min(left, PART))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def thinned(
    events: Generator[Event], every: float = EVERY, *, clock: Callable[[], float]
) -> Generator[Event]:
    """The events without progress that follows too soon on other progress.

    First and last steps and every validation are passed on. A large prediction that is stopped ends
    with an error that says what is kept: here that is an event, as it is of a training.
    """
    last, held_out = -math.inf, None
    try:
        for event in events:
            if isinstance(event, Progress | Predicting):
                is_last = event.fraction == 1 if isinstance(event, Progress) else False
                known = event.held_out if isinstance(event, Progress) else held_out
                is_last = is_last or (isinstance(event, Predicting) and event.done == event.total)
                if known == held_out and not is_last and clock() - last < every:
                    continue
                held_out, last = known, clock()
            yield event
    except Interrupted as stopped:
        yield Stopped(str(stopped))
    finally:
        events.close()


def _plain(value: Any, arrays: list[NDArray]) -> Any:
    """A value of an event for JSON; arrays are set aside."""
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Interval):
        return {"interval": [float(v) for v in value]}
    if isinstance(value, tuple | list):
        return [_plain(one, arrays) for one in value]
    if isinstance(value, dict):
        return {"values": {str(key): _plain(one, arrays) for key, one in value.items()}}
    return value.item() if isinstance(value, np.generic) else value


def _value(value: Any, arrays: list[NDArray]) -> Any:
    """What `_plain` was given."""
    if isinstance(value, list):
        return tuple(_value(one, arrays) for one in value)
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        if kind == "array":
            return arrays[content]
        if kind == "values":
            return {key: _value(one, arrays) for key, one in content.items()}
        return Path(content) if kind == "path" else Interval(*content)
    return value
