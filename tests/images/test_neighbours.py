"""Laws of the frames beside a frame: near, in their order, and never a copy of it."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import white
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours, surrounded
from unnoise.noise.excluded_pixels import with_mask


def beside(movie: np.ndarray, reach: int, axes: str = "TYX") -> list[list[int]]:
    """The neighbours of every frame along the first axis."""
    found = Neighbours(Image.from_array(movie, axes), axes[0], reach)
    return [found({axes[0]: i}) for i in range(len(movie))]


@pytest.mark.parametrize("axis", "TZ")
def test_they_are_those_before_and_after_and_mirrored_at_the_ends(axis: str) -> None:
    movie = white((7, 20, 20))
    found = beside(movie, 2, f"{axis}YX")
    assert found[2:5] == [[i - 2, i - 1, i + 1, i + 2] for i in (2, 3, 4)]
    assert found[0] == [2, 1, 1, 2]
    assert found[1] == [3, 0, 2, 3]
    assert found[6] == [4, 5, 5, 4]
    for reach in (1, 3, 8):
        for i, frames in enumerate(beside(movie, reach, f"{axis}YX")):
            assert i not in frames
            assert len(frames) == 2 * reach
    assert beside(movie[:2], 2) == [[1] * 4, [0] * 4]


def test_copies_of_a_frame_never_stand_beside_it_and_blank_ones_beside_none() -> None:
    movie = white((9, 20, 20))
    movie[3] = movie[4] = movie[2]  # a camera that hung
    movie[6] = 7.0  # and one that dropped a frame
    for i, frames in enumerate(beside(movie, 2)):
        assert not any(np.array_equal(movie[i], movie[k]) for k in frames)
        assert 6 not in frames
    found = beside(movie, 2)
    assert found[3] == [0, 1, 5, 7]
    assert found[5] == [1, 4, 7, 8]
    assert found[6] == [4, 5, 7, 8]


def test_frames_that_differ_outside_of_a_constant_middle_are_no_copies() -> None:
    movie = np.zeros((3, 100, 100))
    movie[:, :5] = white((3, 5, 100))
    assert beside(movie, 1) == [[1, 1], [0, 2], [1, 1]]
    movie[2] = movie[1]
    assert beside(movie, 1) == [[1, 1], [0, 0], [0, 0]]


def test_a_movie_of_copies_is_refused_and_a_blank_one_is_not() -> None:
    frame = white((20, 20))
    with pytest.raises(InputError, match=r"copies of one.*leave out the context"):
        beside(np.stack([frame] * 4), 1)
    assert beside(np.zeros((3, 20, 20)), 1) == [[1, 1], [0, 0], [0, 0]]
    one = np.zeros((3, 20, 20))
    one[1, 4, 4] = 1
    assert beside(one, 1) == [[1, 1], [0, 0], [1, 1]]


def test_samples_and_slices_have_neighbours_of_their_own() -> None:
    movie = white((2, 3, 2, 20, 20))  # S, T, Z
    movie[1, 1, 0] = movie[1, 0, 0]
    found = Neighbours(Image.from_array(movie, "STZYX"), "T", 1)
    assert found({"S": 0, "T": 0, "Z": 0}) == [1, 1]
    assert found({"S": 1, "T": 0, "Z": 0}) == [2, 2]
    assert found({"S": 1, "T": 0, "Z": 1}) == [1, 1]
    assert found.frames({"S": 1, "T": 2, "Z": 1})[0] == {"S": 1, "T": 1, "Z": 1}


def test_no_frame_is_looked_at_that_is_not_needed() -> None:
    class Watched:
        def __init__(self) -> None:
            self.shape, self.dtype, self.seen = (1000, 20, 20), np.dtype(float), set[int]()

        def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
            frames = range(1000)[where[0]]
            self.seen |= set(frames)
            return np.stack([white((20, 20), k)[where[1:]] for k in frames])

    movie = Watched()
    assert Neighbours(Image(movie, "TYX"), "T", 2)({"T": 500}) == [498, 499, 501, 502]
    assert movie.seen == {498, 499, 500, 501, 502}


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_surrounded_frame_is_the_middle_of_a_movie_with_the_same_neighbours(at: int) -> None:
    movie = white((6, 30, 30))
    mask = np.ones(movie.shape, bool)
    mask[2, 12:15, 12:15] = False
    image = with_mask(Image.from_array(movie, "TYX"), mask)
    where: dict[str, int | slice] = {"S": 0, "T": at, "Z": 0, "Y": slice(4, 24), "X": slice(2, 30)}
    part = surrounded(image, where, "T", 2)
    assert part.shape == (1, 5, 1, 1, 20, 28)
    whole = Neighbours(image, "T", 2)({"T": at})
    own = Neighbours(part, "T", 2)({"T": 2})
    np.testing.assert_array_equal(part.read({"T": 2})[0, 0], image.read(where)[0, 0])
    for k, i in zip(own, whole, strict=True):
        beside = image.read({**where, "T": i}, alone=True)
        np.testing.assert_array_equal(part.read({"T": k}), beside)
    marks, expected = part.excluded({"T": 2}), image.excluded(where)
    assert (marks is None) == (expected is None) == (at != 2)
    if marks is not None and expected is not None:
        np.testing.assert_array_equal(marks, expected)


def test_a_frame_of_which_a_channel_is_a_copy_does_not_stand_beside() -> None:
    """As where a channel is recorded at half the rate, and written twice."""
    movie = white((8, 2, 20, 20))
    movie[1::2, 1] = movie[0::2, 1]
    image = Image.from_array(movie, "TCYX")
    for reach in (1, 2):
        found = Neighbours(image, "T", reach)
        for i in range(8):
            others = found({"T": i})
            assert i not in others
            assert not any(np.array_equal(movie[k, 1], movie[i, 1]) for k in others)
    assert Neighbours(image, "T", 1)({"T": 2}) == [1, 4]
    assert Neighbours(image, "T", 1, [0])({"T": 2}) == [1, 3]
    where = {**image.middle(16), "T": 2}
    part = surrounded(image, where, "T", 1)
    np.testing.assert_array_equal(part.read({"T": 2}), image.read({**where, "T": 4}))
    part = surrounded(image, where, "T", 1, [0])
    np.testing.assert_array_equal(part.read({"T": 2}), image.read({**where, "T": 3}))


def test_a_channel_that_is_one_picture_in_all_frames_is_refused_and_a_constant_one_is_not() -> None:
    movie = white((4, 2, 20, 20))
    movie[:, 1] = 3.0
    image = Image.from_array(movie, "TCYX")
    assert Neighbours(image, "T", 1)({"T": 1}) == [0, 2]
    movie[:, 1] = movie[0, 0]
    with pytest.raises(InputError, match=r"copies of one in some channel.*or that channel"):
        Neighbours(image, "T", 1)({"T": 1})
    assert Neighbours(image, "T", 1, [0])({"T": 1}) == [0, 2]
