"""A file is written once and whole, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import writer
from unnoise.images.image import Image

SUFFIXES = [".tif", ".ome.tif", ".npy", ".png", ".jpg"]


@pytest.fixture
def image() -> Image:
    return Image.from_array(np.arange(30 * 40, dtype=np.uint8).reshape(30, 40))


def start_and_fail(path: Path, image: Image, error: BaseException) -> None:
    with formats.create(path, like=image, overwrite=True) as out:
        out.write({"Y": slice(0, 5)}, image.read({"Y": slice(0, 5)}))
        raise error


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), GeneratorExit()])
def test_an_exception_leaves_nothing(
    tmp_path: Path, image: Image, suffix: str, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        start_and_fail(tmp_path / f"a{suffix}", image, error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_previous_result_stays_when_overwriting_fails(
    tmp_path: Path, image: Image, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"previous")
    with pytest.raises(ZeroDivisionError):
        start_and_fail(path, image, ZeroDivisionError())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"previous"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_name_appears_at_the_end_and_the_folder_is_made(
    tmp_path: Path, image: Image, suffix: str
) -> None:
    path = tmp_path / "new" / "folder" / f"a{suffix}"
    prepared = formats.create(path, like=image)
    assert not path.parent.exists()
    with prepared as out:
        out.write({}, image.read())
        assert not path.exists()
        assert [p.name for p in path.parent.iterdir()] == [f".{path.name}.{os.getpid()}.part"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(RuntimeError, match="inside its with block"):
        out.write({}, image.read())


def test_a_generator_that_is_closed_leaves_nothing(tmp_path: Path, image: Image) -> None:
    def work():  # type: ignore[no-untyped-def]
        with formats.create(tmp_path / "a.tif", like=image) as out:
            for y in range(30):
                out.write({"Y": y}, image.read({"Y": y}))
                yield y

    steps = work()
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_blocks_are_rounded_and_clipped(tmp_path: Path, image: Image) -> None:
    block = np.full((1, 1, 1, 1, 30, 20), 299.7)
    with formats.create(tmp_path / "a.npy", like=image) as out:
        out.write({"X": slice(0, 20)}, block)
        out.write({"X": slice(20, 40)}, block / 299.7 * -0.4)
    written = np.load(tmp_path / "a.npy")
    assert (written[:, :20] == 255).all()
    assert (written[:, 20:] == 0).all()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"no space left on the disk for .*a\.tif \(needs 0\.1 MB\); free some"),
        (errno.EDQUOT, "quota is too small"),
        (errno.EFBIG, "not allowed where"),
        (errno.EACCES, "no permission to write"),
        (errno.EROFS, "disk is read-only"),
        (errno.EIO, "cannot be written"),
    ],
)
@pytest.mark.parametrize("call", ["os.posix_fallocate", "os.replace", "pathlib.Path.mkdir"])
def test_system_errors_become_sentences(
    tmp_path: Path,
    image: Image,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    message: str,
    call: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(call, fail)
    with pytest.raises(InputError, match=f"{message}.*choose another place with -o"):
        formats.save(tmp_path / "a.tif", image.data[...])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path, image: Image) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.tif", tmp_path / "file" / "deep" / "a.tif"):
        with pytest.raises(InputError, match="cannot be made because a file has its name"):
            formats.save(path, image.data[...])


def test_without_fallocate_the_free_space_decides(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    formats.save(tmp_path / "a.tif", image.data[...])
    monkeypatch.setattr(writer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(InputError, match="no space left"):
        formats.save(tmp_path / "b.tif", image.data[...])
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".npy", ".png"])
def test_a_file_size_limit_is_reported_before_any_pixel(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("resource")
    code = f"""
import resource, sys
import numpy as np
from unnoise.images import formats
from unnoise.errors import InputError
pixels = np.random.default_rng(0).integers(0, 255, (2000, 1000), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    formats.save({str(tmp_path / ("a" + suffix))!r}, pixels)
except InputError as error:
    sys.exit(f"InputError: {{error}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("InputError: files of 2.0 MB are not allowed where")
    assert list(tmp_path.iterdir()) == []


def test_the_space_is_reserved(tmp_path: Path) -> None:
    image = Image.from_array(np.broadcast_to(np.uint8(0), (64, 256, 256)), axes="ZYX")
    with formats.create(tmp_path / "a.tif", like=image):
        (part,) = tmp_path.iterdir()
        assert part.stat().st_blocks * 512 >= 64 * 256 * 256


def test_two_runs_do_not_write_one_file(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "a.tif"
    code = (
        "import sys, time, numpy as np; from unnoise.images import formats; "
        "from unnoise.images.image import Image; "
        "image = Image.from_array(np.zeros((30, 40), 'u1')); "
        f"out = formats.create({str(path)!r}, image)\n"
        "with out: print('writing', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        said = rf"a\.tif is being written by another run \(process {other.pid}\); wait until"
        with pytest.raises(InputError, match=said):
            formats.create(path, image).check()
        with pytest.raises(InputError, match=said), formats.create(path, image):
            pass
        other.kill()
    formats.save(path, image.data[...])  # what the dead one has left is in nobody's way
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
