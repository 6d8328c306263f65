"""Damaged types and fill values of HDF5, at which its library ends the process, are found before.

A type of values of any length is a sequence or a text (HDF5 File Format Specification 3.0, section
IV.A.2.d); of a third kind that its bits can tell, HDF5 2.0.0 reads a pointer that is none.
"""

from __future__ import annotations

from typing import Any

from unnoise.images.formats.reader import needs

KINDS = (0, 1)
"""Sequence and text, in the lowest four bits."""
BITS = 3
"""Where they are in an encoded type: behind its number, version and class."""


def check(one: Any) -> None:
    """Look at the types of a group or dataset and of its attributes, and at its fill value.

    Parameters
    ----------
    one : h5py.Group or h5py.Dataset

    Raises
    ------
    ValueError
        If one of them is none that HDF5 has.
    """
    h5py = needs("h5py", "formats")
    names: list[bytes] = []
    h5py.h5a.iterate(one.id, lambda name, *_: names.append(name))  # by number: 46 s for 5,000
    for name in names:
        check_type(h5py.h5a.open(one.id, name).get_type())
    if isinstance(one, h5py.Dataset):
        check_type(one.id.get_type())
        one.id.get_create_plist().fill_value_defined()  # raises where that is damaged


def check_type(kind: Any) -> None:
    """Look at a type, and at those that it is made of.

    Parameters
    ----------
    kind : h5py.h5t.TypeID

    Raises
    ------
    ValueError
        If one of them is none that HDF5 has.
    """
    h5t = needs("h5py", "formats").h5t
    group = kind.get_class()
    if group == h5t.VLEN and kind.encode()[BITS] % 16 not in KINDS:
        raise ValueError("a type of it is neither a sequence nor a text")
    if group in (h5t.VLEN, h5t.ARRAY):
        check_type(kind.get_super())
    elif group == h5t.COMPOUND:
        for number in range(kind.get_nmembers()):
            check_type(kind.get_member_type(number))
