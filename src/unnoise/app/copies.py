"""The smaller copies of an image in its file, and by how much each is smaller along Y and X."""

from __future__ import annotations

import math
from typing import NamedTuple

from unnoise.images import formats
from unnoise.images.image import Image


def copies_of(image: Image) -> list[Copy]:
    """An image itself, and its smaller copies."""
    return [Copy(image, 1, 1), *(_copy(image, smaller) for smaller in formats.smaller(image))]


class Copy(NamedTuple):
    """A copy of an image in its file, and how many pixels one of it stands for along Y and X."""

    image: Image
    down: float
    right: float

    @property
    def is_whole(self) -> bool:
        """Whether so many pixels as levels have became one: 2^k along each axis."""
        return all(one == int(one) and int(one).bit_count() == 1 for one in self[1:])

    def steps(self, factor: int) -> tuple[float, float]:
        """How many of its pixels become one of an image that is so many times smaller."""
        return factor / self.down, factor / self.right

    def cost(self, factor: int) -> float:
        """How many of its pixels are read for one of them."""
        down, right = self.steps(factor)
        return down * right


def _copy(image: Image, smaller: Image) -> Copy:
    """By how much a copy is smaller along each axis, which its size tells only nearly.

    A short axis takes the factor of the other one where it may be that: 33 pixels become one with
    each factor from 17 on.
    """
    pairs = [(image.sizes[k], smaller.sizes[k]) for k in "YX"]
    own = [_factor(*pair) for pair in pairs]
    short = int(pairs[1] < pairs[0])
    if _may_be(*pairs[short], own[1 - short]):
        own[short] = own[1 - short]
    return Copy(smaller, *own)


def _factor(many: int, few: int) -> float:
    """How many pixels became one: a power of two if it may be, another whole number if so many
    fit but for one at the end.

    Examples
    --------
    >>> _factor(301, 150), _factor(301, 151), _factor(700, 10), _factor(900, 300), _factor(900, 400)
    (2, 2, 64, 3, 2.25)
    """
    power, whole = 1 << round(math.log2(many / few)), round(many / few)
    if _may_be(many, few, power):
        return power
    return whole if abs(many - whole * few) < 2 * whole else many / few


def _may_be(many: int, few: int, factor: float) -> bool:
    """Whether a whole factor leaves so few pixels, the last of which may be left out."""
    return factor == int(factor) and few in (many // factor, -(-many // factor))
