"""The doors: finding files, naming results, and one clear sentence for each wrong input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.image import Image


def test_importing_is_cheap() -> None:
    code = (
        "import sys, unnoise.images.formats; "
        "heavy = {'tifffile', 'imagecodecs', 'PIL', 'torch', 'zarr', 'fsspec'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy"])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"empty{suffix}"
    path.touch()
    with pytest.raises(InputError, match=r"empty\.\w+ is empty \(0 bytes\)"):
        formats.open(path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy"])
def test_garbage(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(b"This is no image, whatever its name says. " * 20)
    with pytest.raises(InputError, match=r"garbage.* cannot be read as"):
        formats.open(path)


def test_missing_folder_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*nothing\.tif"):
        formats.open(tmp_path / "nothing.tif")
    with pytest.raises(InputError, match="is a folder, not an image file"):
        formats.open(tmp_path)
    (tmp_path / "cells.xyz").write_text("?")
    with pytest.raises(InputError, match=r"suffix '\.xyz' .* use one of \.tif, \.tiff, \.png"):
        formats.open(tmp_path / "cells.xyz")
    with pytest.raises(InputError, match="a name without suffix"):
        formats.create(tmp_path / "results", Image.from_array(np.zeros((8, 8))))


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.save(tmp_path / "a.npy", np.zeros((8, 8)))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"a\.npy cannot be opened: Permission denied"):
        formats.open(tmp_path / "a.npy")


def test_find_orders_naturally_and_skips_what_is_no_input(tmp_path: Path) -> None:
    names = ["t²٣.tif", "t10.tif", "t2.TIF", "t1.png", "notes.txt", ".t3.tif.77.part", "._t4.tif"]
    names += ["t1_denoised.png", "own_denoised.tif"]
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in formats.find([tmp_path])]
    assert found == ["own_denoised.tif", "t1.png", "t2.TIF", "t10.tif", "t²٣.tif"]
    assert [p.name for p in formats.find([tmp_path / "t1*.*"])] == [
        "t1.png",
        "t1_denoised.png",
        "t10.tif",
    ]
    assert formats.find([tmp_path / "t10.tif", tmp_path / "t10.tif"]) == [tmp_path / "t10.tif"]


def test_find_takes_brackets_in_a_real_name_literally(tmp_path: Path) -> None:
    (tmp_path / "a[1].tif").touch()
    assert formats.find([tmp_path / "a[1].tif"]) == [tmp_path / "a[1].tif"]


def test_a_model_in_the_place_of_images_is_called_so(tmp_path: Path) -> None:
    place = tmp_path / "my.model"
    place.mkdir()
    for name in ("config.yaml", "weights.safetensors"):
        (place / name).touch()
    with pytest.raises(
        InputError, match=r"my\.model holds a model, not images; denoise with it by"
    ):
        formats.find([place])
    formats.save(place / "a.npy", np.zeros((8, 8)))
    assert formats.find([place]) == [place / "a.npy"]


def test_find_errors(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        InputError, match=r"folder .* holds no image files; known suffixes are \.tif"
    ):
        formats.find([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        formats.find([tmp_path / "gone.tif"])
    with pytest.raises(InputError, match=r"pattern .* matches no image files"):
        formats.find([tmp_path / "*.tif"])
    with pytest.raises(InputError, match="no known image format"):
        formats.find([tmp_path / "notes.txt"])


def test_output_path(tmp_path: Path) -> None:
    source = tmp_path / "a.ome.tiff"
    assert formats.output_path(source) == tmp_path / "a_denoised.ome.tiff"
    assert formats.output_path(tmp_path / "v1.2.png") == tmp_path / "v1.2_denoised.png"
    assert formats.output_path(source, tmp_path) == source  # refused by create, as it is the input
    assert formats.output_path(source, "new/") == Path("new/a.ome.tiff")
    assert formats.output_path(source, "new", several=True) == Path("new/a.ome.tiff")
    assert formats.output_path(source, "new.tif") == Path("new.tif")
    with pytest.raises(InputError, match=r"new\.tif names one file for several inputs"):
        formats.output_path(source, "new.tif", several=True)


def test_existing_outputs(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    formats.save(path, np.zeros((8, 8)))
    with pytest.raises(InputError, match="exists; add --overwrite or choose another name with -o"):
        formats.save(path, np.ones((8, 8)))
    formats.save(path, np.ones((8, 8)), overwrite=True)
    assert np.load(path).all()
    (tmp_path / "b.tif").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        formats.save(tmp_path / "b.tif", np.zeros((8, 8)))


@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hardlink"])
def test_the_input_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = tmp_path / "a.npy"
    formats.save(path, np.zeros((8, 8)))
    image = formats.open(path)
    other = {"same": path, "relative": Path("a.npy")}.get(way, tmp_path / "b.npy")
    if way == "symlink":
        other.symlink_to(path)
    if way == "hardlink":
        other.hardlink_to(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the input is never overwritten"):
        formats.create(other, image, overwrite=True)
    assert not np.load(path).any()


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_a_link_as_place_of_a_result(tmp_path: Path, suffix: str) -> None:
    """It stays, and what it leads to is replaced; one that leads nowhere is refused early."""
    pixels = np.zeros((8, 8), np.uint8)
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / f"real{suffix}", tmp_path / f"link{suffix}"
    formats.save(real, pixels)
    link.symlink_to(real)
    with pytest.raises(InputError, match="exists; add --overwrite"):
        formats.save(link, pixels + 1)
    formats.save(link, pixels + 1, overwrite=True)
    assert link.is_symlink()
    assert (np.asarray(formats.open(real).data[...]) == 1).all()
    real.unlink()
    with pytest.raises(InputError, match=r"link\.\w+ is a link to .*real.* does not exist"):
        formats.create(link, Image.from_array(pixels), overwrite=True)
    assert [p.name for p in (tmp_path / "far").iterdir()] == []


def test_save_checks_the_shape(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"array has shape \(4, 4\) but its image \(8, 8\)"):
        formats.save(tmp_path / "a.tif", np.zeros((4, 4)), like=Image.from_array(np.zeros((8, 8))))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">u2", "<f4", "bool", "int64"])
def test_npy(tmp_path: Path, dtype: str, order: str) -> None:
    pixels = np.arange(60).reshape(3, 4, 5).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", pixels)
    image = formats.open(tmp_path / "a.npy", axes="zyx", labels=True)
    assert image.axes == "ZYX"
    assert image.dtype.isnative
    np.testing.assert_array_equal(image.data[...], pixels)
    with formats.create(tmp_path / "b.npy", like=image) as out:
        for z in range(3):
            out.write({"Z": z}, image.read({"Z": z}))
    written = np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(written, pixels)
    assert written.dtype == np.dtype(dtype).newbyteorder("=")


def test_npy_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    cases = {
        "complex numbers": np.zeros((8, 8), complex),
        "object values": np.array([[None]]),
        "is empty": np.zeros((0, 8)),
    }
    for message, pixels in cases.items():
        np.save(path, pixels, allow_pickle=True)
        with pytest.raises(InputError, match=rf"a\.npy.*{message}"):
            formats.open(path)
    np.save(path, np.zeros((5, 8, 8)))
    with pytest.raises(AxesError, match="--axes ZYX or --axes TYX"):
        formats.open(path)
    with pytest.raises(AxesError, match="name 2 dimensions but the image has 3"):
        formats.open(path, axes="YX")
    for huge in ((2**30, 2**30), (2**62, 8), (10**6, 10**6)):
        header = path.read_bytes()[:128].replace(b"(5, 8, 8)", str(huge).encode())
        path.with_name("b.npy").write_bytes(header[: header.index(b"}") + 1].ljust(127) + b"\n")
        with pytest.raises(InputError, match=r"b\.npy .*may be .*damaged"):
            formats.open(path.with_name("b.npy"))
    data = path.read_bytes()
    for cut in (3, 20, 100, 129, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"a\.npy cannot be read as NPY"):
            formats.open(path, axes="ZYX")
