"""Writing YAML, and reading such that may be damaged, or made to fill the memory."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import Composer

from unnoise.errors import InputError

LONGEST = 2**24
"""Characters of a text; a model has some 10,000, and 100 for each of its images."""
MOST_VALUES = 10**6
"""Values of a text, those counted that aliases repeat; a model has some 10 for each image."""
DEEPEST = 100
"""Levels of values within values."""


def read_yaml(text: str, name: str) -> Any:
    """The plain values of a YAML text.

    Aliases repeat parts of a text, so that nine lines of them stand for billions of values; how
    many there are is counted before any is made. libyaml reads it where PyYAML has that, in a
    quarter of the time.

    Parameters
    ----------
    text : str
    name : str
        What it is, for messages.

    Raises
    ------
    InputError
        If it is no YAML, or stands for too many values.

    Examples
    --------
    >>> read_yaml("a: [1, 2]", "the settings")
    {'a': [1, 2]}
    """
    if len(text) > LONGEST:
        raise InputError(f"{name} are too long ({len(text):,} characters); give a smaller file")
    try:
        loader = _Loader(text, name)
        try:
            node = loader.get_single_node()
            if _count(node, {}, 0) > MOST_VALUES:
                raise InputError(f"{name} repeat themselves too often; give a smaller file")
            return None if node is None else _decoded(loader.construct_document(node))
        finally:
            loader.dispose()
    except RecursionError as error:
        raise InputError(f"{name} are nested too deeply; give a plainer file") from error
    except InputError:
        raise
    except (  # what values are made of raises anything: `!!float` of nothing, `!!bool` of a word
        yaml.YAMLError,
        ValueError,
        TypeError,
        OverflowError,
        LookupError,
        AttributeError,
    ) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{name} are not valid YAML ({problem})") from error


def write_yaml(values: Any, name: str) -> str:
    r"""Plain values as a YAML text, from which `read_yaml` gives them back.

    Texts that are no Unicode, as names of files may be whose bytes are no UTF-8, have no place in
    YAML: they become ``!!binary``.

    Parameters
    ----------
    values : dict, list, str, int, float, bool or None
        Nested as they may be.
    name : str
        What they are, for messages.

    Raises
    ------
    InputError
        If `read_yaml` would refuse the text.

    Examples
    --------
    >>> read_yaml(write_yaml({"file": "a\udcff.tif"}, "the settings"), "the settings")
    {'file': 'a\udcff.tif'}
    """
    text = str(yaml.safe_dump(_encoded(values), sort_keys=False))
    read_yaml(text, name)
    return text


def _encoded(values: Any) -> Any:
    """The same with bytes for what is no Unicode."""
    if isinstance(values, dict):
        return {_encoded(k): _encoded(v) for k, v in values.items()}
    if isinstance(values, list | tuple):
        return [_encoded(v) for v in values]
    if not isinstance(values, str):
        return values
    found = values.encode("utf-8", "surrogatepass")
    try:
        found.decode()
    except UnicodeDecodeError:
        return found
    return values


def _decoded(values: Any) -> Any:
    """What `_encoded` was given."""
    if isinstance(values, dict):
        return {_decoded(k): _decoded(v) for k, v in values.items()}
    if isinstance(values, list):
        return [_decoded(v) for v in values]
    return values.decode("utf-8", "surrogatepass") if isinstance(values, bytes) else values


def _counting(parser: Any) -> Any:
    """A safe loader that gives up while it reads a text with too many values or levels."""

    class Loader(_Counting, parser):  # type: ignore[misc]  # one of two
        """The rules of YAML are those of the parser, the composer that of PyYAML."""

        def __init__(self, text: str, name: str) -> None:
            parser.__init__(self, text)
            Composer.__init__(self)
            self.what, self.values, self.depth = name, 0, 0

    return Loader


class _Counting(Composer):
    """Counts nodes as they are made."""

    what: str
    values: int
    depth: int

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, unless it is one too many; values of the deepest level may be there."""
        self.values += 1
        self.depth += 1
        if self.values > MOST_VALUES:
            raise InputError(f"{self.what} hold more than {MOST_VALUES:,} values; give fewer")
        if self.depth > DEEPEST + 2:
            raise RecursionError
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader = _counting(getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _count(node: yaml.Node | None, known: dict[int, int], depth: int) -> int:
    """Values that a node stands for, its own copies counted; RecursionError if it holds itself."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if depth > DEEPEST or known.get(id(node)) == 0:
        raise RecursionError
    if id(node) not in known:
        known[id(node)] = 0  # being counted
        pairs = isinstance(node, yaml.MappingNode)
        inner = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_count(part, known, depth + 1) for part in inner)
    return known[id(node)]
