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
    for number in range(h5py.h5a.get_num_attrs(one.id)):
        _check_type(h5py, h5py.h5a.open(one.id, index=number).get_type())
    if isinstance(one, h5py.Dataset):
        _check_type(h5py, one.id.get_type())
        one.id.get_create_plist().fill_value_defined()  # raises where that is damaged


def _check_type(h5py: Any, kind: Any) -> None:
    """The same of a type, with those that it is made of."""
    group = kind.get_class()
    if group == h5py.h5t.VLEN and kind.encode()[BITS] % 16 not in KINDS:
        raise ValueError("a type of it is neither a sequence nor a text")
    if group in (h5py.h5t.VLEN, h5py.h5t.ARRAY):
        _check_type(h5py, kind.get_super())
    elif group == h5py.h5t.COMPOUND:
        for number in range(kind.get_nmembers()):
            _check_type(h5py, kind.get_member_type(number))
