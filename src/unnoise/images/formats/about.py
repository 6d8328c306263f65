"""What people should know of a format: the facts of the table in docs/formats.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """A family of formats, for people.

    Every module of a format has a tuple ``ABOUT`` of these, one for each family that it knows.

    Attributes
    ----------
    name : str
        E.g. ``OME-TIFF, ImageJ, TIFF``.
    suffixes : tuple of str
        With their dots.
    library : str
        What decodes it, as it is called where packages are found.
    licence : str
        Of that library.
    axes : str
        Letters that it can hold, or how they are found.
    keeps : str
        What comes back of its metadata.
    writes : bool
        Whether results can be written in it; those of others are written as OME-TIFF.
    extra : str
        The extra of this package that installs the library, empty where it always is.
    tested : str
        Files that it was tested with.
    """

    name: str
    suffixes: tuple[str, ...]
    library: str
    licence: str
    axes: str
    keeps: str
    writes: bool = True
    extra: str = ""
    tested: str = ""


HEAD = (
    "format",
    "names end in",
    "reader (licence)",
    "axes",
    "what is kept",
    "written",
    "needs",
    "tested with",
)


def table(formats: Iterable[About]) -> str:
    """Formats as a table in Markdown.

    Examples
    --------
    >>> print(table([About("Toy", (".toy",), "toylib", "MIT", "YX", "nothing")]).splitlines()[-1])
    | Toy | `.toy` | toylib (MIT) | YX | nothing | yes | - | - |
    """
    rows = [HEAD, tuple("-" * 3 for _ in HEAD)]
    for one in formats:
        needs = f"`unnoise[{one.extra}]`" if one.extra else "-"
        ends = " ".join(f"`{suffix}`" for suffix in one.suffixes)
        reader = f"{one.library} ({one.licence})"
        written = "yes" if one.writes else "no, OME-TIFF instead"
        rows.append(
            (one.name, ends, reader, one.axes, one.keeps, written, needs, one.tested or "-")
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
