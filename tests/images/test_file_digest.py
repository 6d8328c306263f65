"""Changed files are seen, copies are not taken for changed ones, and little of many is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from synthetic import photons
from unnoise.errors import InputError
from unnoise.images import file_digest, formats
from unnoise.images.file_digest import digest, digests, stamp


def test_any_byte_of_a_small_file_counts_and_its_name_and_time_do_not(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(bytes(300_000))
    shutil.copy(a, b)
    os.utime(b, (1, 1))
    first = digest([a])
    assert digest([b]) == first
    for place in (0, 123_456, 299_999):
        changed = bytearray(300_000)
        changed[place] = 1
        b.write_bytes(changed)
        assert digest([b]) != first, place
    b.write_bytes(bytes(299_999))
    assert digest([b]) != first


def test_of_more_bytes_a_sample_is_read_that_sees_a_change_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digest, "MOST_BYTES", 4096)
    monkeypatch.setattr(file_digest, "BLOCK", 256)
    a = tmp_path / "a"
    a.write_bytes(bytes(10**6))
    first = digest([a])
    a.write_bytes(bytes(10**6 - 1) + b"1")  # the last block is one of them
    assert digest([a]) != first
    unseen = bytearray(10**6)
    unseen[300:500] = b"1" * 200
    a.write_bytes(unseen)
    assert digest([a]) == first, "so all would be read"


def test_folders_of_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "MOST_FILES", 5)
    for i in range(20):
        (tmp_path / f"{i:02}").write_bytes(b"%d" % i)
    first = digest([tmp_path])
    (tmp_path / "19").write_bytes(b"ab")
    second = digest([tmp_path])
    assert second != first
    (tmp_path / "11").unlink()
    assert digest([tmp_path]) != second
    assert digest([tmp_path / "gone"]) == digest([tmp_path / "gone too"])


def test_names_stand_for_their_files(tmp_path: Path) -> None:
    for name in ("a_1.tif", "a_2.tif", "b.h5"):
        (tmp_path / name).write_bytes(b"1")
    for name, file in (("a_{t}.tif", "a_2.tif"), ("b.h5:/mask", "b.h5")):
        first = digest([tmp_path / name])
        (tmp_path / file).write_bytes(b"2")
        assert digest([tmp_path / name]) != first, name


def test_names_that_lead_to_no_file_do_not_count_as_unchanged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b_\{t\}\.tif is gone"):
        stamp([tmp_path / "b_{t}.tif"])


def test_images_targets_and_mask_count(tmp_path: Path) -> None:
    names = ("image", "target", "mask")
    image, target, mask = (tmp_path / f"{name}.tif" for name in names)
    for seed, path in enumerate((image, target, mask)):
        formats.save(path, photons((32, 32), seed=seed), axes="YX")
    opened = [[formats.open(path)] for path in (image, target)]
    first = digests(*opened, str(mask))
    assert set(first) == {"images", "mask"}
    assert set(digests(opened[0], None, None)) == {"images"}
    for path, name in ((target, "images"), (mask, "mask")):
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        now = digests(*opened, str(mask))
        assert [k for k in first if first[k] != now[k]] == [name]
        path.write_bytes(kept)
    assert digests(*opened, str(mask)) == first
