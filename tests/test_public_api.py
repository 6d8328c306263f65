"""The calls that scripts are written with: a change of `public_api.txt` is a change for users."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import unnoise

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def lines() -> Iterator[str]:
    """Every public name with its signature; of classes the public calls and properties."""
    for name in sorted(unnoise.__all__):
        value = getattr(unnoise, name)
        if inspect.isclass(value):
            yield f"class {name}"
            for member, found in sorted(inspect.getmembers(value)):
                own = not member.startswith(("_", "model_")) and member not in PYDANTIC
                if own and inspect.isroutine(found):
                    yield f"    {member}{inspect.signature(found)}"
                elif own and isinstance(found, property):
                    yield f"    {member}"
        elif callable(value):
            yield f"{name}{inspect.signature(value)}"
        else:
            yield name


PYDANTIC = ("construct", "copy", "dict", "from_orm", "json", "parse_file", "parse_obj", "parse_raw",
            "schema", "schema_json", "update_forward_refs", "validate")  # fmt: skip


def test_the_public_api_is_that_of_the_snapshot() -> None:
    assert list(lines()) == SNAPSHOT.read_text("utf-8").splitlines()
