"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path

from unnoise.errors import InputError
from unnoise.images.formats import sequences, urls
from unnoise.images.formats.about import About
from unnoise.images.formats.registry import (
    FORMATS,
    RAW,
    WITHIN,
    Format,
    folder_format,
    format_of,
    split_inside,
    suffix_of,
    suffix_of_folder,
)

KINDS = {
    # DICOM may begin with a TIFF header, and most raw photographs do.
    "TIFF": (".tif", ".tiff", ".lsm", ".stk", ".svs", ".ndpi", ".dcm", ".dicom", ".ima", *RAW),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "NumPy file": (".npy",),
    "CZI": (".czi",),
    "ND2": (".nd2",),
    "LIF": (".lif", ".lof"),
}
"""What a file is -> the suffixes of its kind."""
CONTENT = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\x93NUMPY": "NumPy file",
    b"ZISRAWFILE": "CZI",
    b"\xda\xce\xbe\n": "ND2",
    b"p\0\0\0": "LIF",
}
"""How a file begins -> what it is."""
FOREIGN = {
    "GIF": b"GIF8",
    "BMP": b"BM",
    "HDF5": b"\x89HDF",
    "PDF": b"%PDF",
    "ZIP": b"PK\x03\x04",
    "WebP": b"RIFF",
    "JPEG 2000": b"\0\0\0\x0cjP",
}
"""What is often found under the name of another format."""
STAMPED = {"mrc": (208, b"MAP ")}
"""Module -> where its files say what they are: MRC begins with its width, whatever that is."""


def format_within(path: Path, named: Format) -> tuple[Format, str]:
    """The format that the first bytes of a file tell, and a note where its name says another.

    Parameters
    ----------
    path : Path
    named : Format
        That of its name; it stays where the bytes tell nothing.

    Raises
    ------
    InputError
        For files of a known kind that cannot be read.
    """
    suffix = suffix_of(path)
    if suffix not in FORMATS:
        return named, ""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    at, stamp = STAMPED.get(FORMATS[suffix], (0, b"?"))
    if head.startswith(stamp, at):
        return named, ""
    for name, start in FOREIGN.items():
        if head.startswith(start) and WITHIN.get(suffix) != name:
            raise InputError(
                f"{path} is a {name} file, whatever its name says, and cannot be read; export it "
                f"as TIFF or PNG"
            )
    kind = next((name for start, name in CONTENT.items() if head.startswith(start)), None)
    if kind is None or suffix in KINDS[kind]:
        return named, ""
    found = format_of(Path(f"a{KINDS[kind][0]}"))
    return found, f"is a {kind}, whatever its name says, and is read as such"


def about_of(path: Path) -> About | None:
    """What is to be known of the format of a file or folder; None for those of other packages.

    Raises
    ------
    InputError
        If no format fits.
    """
    path, _ = split_inside(path)
    folder = folder_format(path) if path.is_dir() else None
    if isinstance(path, urls.Url) or sequences.is_pattern(path):
        found = format_of(Path(f"a{suffix_of(path) or '.zarr'}"))
    else:
        found = folder or format_within(path, format_of(path))[0]
    known: tuple[About, ...] = getattr(found, "ABOUT", ())
    suffix = suffix_of_folder(path) if folder else suffix_of(path)
    return next((one for one in known if suffix in one.suffixes), next(iter(known), None))
