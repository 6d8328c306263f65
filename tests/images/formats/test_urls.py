"""What lies at an address is read like a file; what cannot be reached is told in one sentence."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import urls

from .zarr_stores import ngff, pixels_of

PIXELS = pixels_of((3, 40, 40))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """A file system in memory with images."""
    files = fsspec.filesystem("memory")
    ngff(tmp_path / "a.zarr", PIXELS, scale={"Z": 2.0}, levels=2)
    formats.save(tmp_path / "a.ome.tif", PIXELS, axes="ZYX")
    for t in range(3):
        np.save(tmp_path / f"t{t}.npy", PIXELS[t])
    files.put(f"{tmp_path}/", "/lab/", recursive=True)
    yield files
    files.rm("/lab", recursive=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server on this machine, and the folder that it serves."""
    root = tmp_path / "served"
    root.mkdir()
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", root
        running.shutdown()
        thread.join()


def test_addresses_are_paths(memory: object) -> None:
    a = urls.place("memory://lab/a.zarr")
    assert (a.name, a.suffix, a.absolute(), str(a.parent)) == ("a.zarr", ".zarr", a, "memory://lab")
    assert urls.place(Path("s3://bucket/a.tif")) == urls.place("s3://bucket/a.tif")
    assert str(urls.place("zip://a.zarr::s3://bucket/b.zip")) == "zip://a.zarr::s3://bucket/b.zip"
    assert isinstance(urls.place("c:/data/a.tif"), urls.Url) is False


@pytest.mark.parametrize("start", ["file:///", "file:/", "file://localhost/", "local:///"])
def test_addresses_of_files_are_paths(tmp_path: Path, start: str) -> None:
    path = tmp_path / "a b" / "100%.npy"
    path.parent.mkdir()
    np.save(path, PIXELS[0])
    address = start + path.as_posix().lstrip("/")
    if start.startswith("file"):
        assert path.as_uri().endswith("/a%20b/100%25.npy")
        address = start + path.as_uri().removeprefix("file:///")
    assert urls.place(address) == path
    assert formats.open(address).path == path
    out = formats.output_path(formats.open(path), f"{start}{tmp_path.as_posix().lstrip('/')}")
    assert out == tmp_path / "100%.npy"  # as the folder is there
    with pytest.raises(InputError, match="a character that no name has"):
        urls.place("file:///a%00.tif")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://b/x.zarr", "s3a://b/x.zarr", True),
        ("gs://b/x.zarr", "gcs://b/x.zarr", True),
        ("s3://b/y/../x.zarr", "s3://b/x.zarr", True),
        ("s3://b/x.tif?versionId=1", "s3://b/x.tif", True),
        ("memory:///lab//a.tif", "memory://lab/a.tif", True),
        ("ftp://ann:secret@LAB.org:21/a.tif", "ftp://lab.org/a.tif", True),
        ("s3://b/x.zarr", "gs://b/x.zarr", False),
        ("s3://b/x.zarr", "s3://c/x.zarr", False),
        ("ftp://lab.org/a.tif", "ftp://other.org/a.tif", False),
        ("s3://b/x.zarr", "s3://b/X.zarr", False),
    ],
)
def test_two_addresses_of_one_thing(one: str, other: str, same: bool) -> None:
    assert (urls.identity(urls.Url(one)) == urls.identity(urls.Url(other))) is same


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr/0", "a.ome.tif"])
def test_zarr_and_files_are_read_from_object_stores(memory: object, name: str) -> None:
    image = formats.open(f"memory://lab/{name}")
    assert (image.axes, image.name, str(image.path)) == (
        "ZYX",
        name.split("/")[-1],
        f"memory://lab/{name}",
    )
    np.testing.assert_array_equal(image.read({"Z": 1})[0, 0, 0, 0], PIXELS[1])
    stem, suffix = {
        "a.zarr": ("a", ".zarr"),
        "a.zarr/0": ("a_0", ".zarr"),
        "a.ome.tif": ("a", ".ome.tif"),
    }[name]
    assert formats.output_path(image) == Path(f"{stem}_denoised{suffix}")
    assert formats.output_path(image, "new/") == Path(f"new/{stem}{suffix}")


def test_folders_patterns_and_sequences_at_addresses(memory: object) -> None:
    def names(*paths: str) -> list[str]:
        return [p.name for p in formats.find([f"memory://lab/{path}" for path in paths])]

    assert names("") == ["a.ome.tif", "a.zarr", "t0.npy", "t1.npy", "t2.npy"]
    assert names("t*.npy", "a.zarr/0") == ["t0.npy", "t1.npy", "t2.npy", "0"]
    image = formats.open("memory://lab/t{t}.npy")
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data[...], PIXELS)
    assert formats.output_path(image) == Path("t_denoised.npy")


def test_a_copy_is_made_once_as_long_as_nothing_changes(memory: fsspec.AbstractFileSystem) -> None:
    first = urls.fetched(urls.Url("memory://lab/t0.npy"))
    assert urls.fetched(urls.Url("memory://lab/t0.npy")) == first
    memory.pipe("/lab/t0.npy", memory.cat("/lab/t1.npy"))
    image = formats.open("memory://lab/t0.npy")
    np.testing.assert_array_equal(image.data[...], PIXELS[1])


def test_a_server_is_read_chunk_by_chunk(server: tuple[str, Path]) -> None:
    address, root = server
    ngff(root / "a.zarr", PIXELS, shards=(1, 32, 32))
    formats.save(root / "b.tif", PIXELS, axes="ZYX")
    image = formats.open(f"{address}/a.zarr")
    np.testing.assert_array_equal(image.data[1, 3:20], PIXELS[1, 3:20])
    np.testing.assert_array_equal(formats.open(f"{address}/b.tif").data[...], PIXELS)
    with pytest.raises(InputError, match=r"no such file: http.*c\.tif; check the address"):
        formats.open(f"{address}/c.tif")
    with pytest.raises(InputError, match=r"http.*c\.zarr holds no Zarr group or array"):
        formats.open(f"{address}/c.zarr")


def test_a_server_that_loses_an_image_does_not_give_zeros(server: tuple[str, Path]) -> None:
    address, root = server
    ngff(root / "a.zarr", PIXELS)
    image = formats.open(f"{address}/a.zarr")
    assert (image.data[0] == PIXELS[0]).all()
    shutil.rmtree(root / "a.zarr")
    with pytest.raises(InputError, match=r"a\.zarr cannot be reached any longer .* run again"):
        image.data[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_copies_are_private_whatever_the_umask(memory: object, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        memory.pipe("/lab/private.npy", (tmp_path / "t0.npy").read_bytes())  # type: ignore[attr-defined]
        copy = urls.fetched(urls.Url("memory://lab/private.npy"))
    finally:
        os.umask(before)
    assert copy.parent.stat().st_mode & 0o077 == 0


def test_where_addresses_are_forbidden_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a server that would lead on to the metadata of a cloud."""
    asked = []

    class Leading(Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/a.npy")
            self.end_headers()

        do_HEAD = do_GET

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Leading) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{running.server_port}"
        with urls.local_only():
            for name in ("a.npy", "a.zarr", "*.tif", "t{t}.npy"):
                with pytest.raises(InputError):
                    formats.open_all(formats.find([f"{address}/{name}"]))
        assert asked == []
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("before", [None, "yes"])
def test_addresses_stay_forbidden_until_the_last_of_several_bans_ends(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """Two servers of one process end in the order in which they began."""
    if before is None:
        monkeypatch.delenv(urls.LOCAL_ONLY, raising=False)
    else:
        monkeypatch.setenv(urls.LOCAL_ONLY, before)
    bans = [urls.local_only(), urls.local_only()]
    for ban in bans:
        ban.__enter__()
    bans[0].__exit__(None, None, None)
    with pytest.raises(InputError, match="addresses are not opened here"):
        urls.exists(urls.Url("memory://a.npy"))
    bans[1].__exit__(None, None, None)
    assert os.environ.get(urls.LOCAL_ONLY) == before


def test_nobody_answers() -> None:
    for name in ("a.zarr", "a.tif"):
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:9/{name} cannot be reached"):
            formats.open(f"http://127.0.0.1:9/{name}")


def test_packages_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for name in ("a.zarr", "a.tif"):
        with pytest.raises(
            InputError, match=r"gs://b/.*: reading from gs:// needs pip install gcs"
        ):
            formats.open(f"gs://b/{name}")
        with pytest.raises(InputError, match="nonesuch:// needs a package for fsspec"):
            formats.open(f"nonesuch://b/{name}")


def test_a_copy_needs_room(memory: object, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(InputError, match=r"t2\.npy has 0\.0 GB, and there is room for 0\.0 GB"):
        formats.open("memory://lab/t2.npy")


@pytest.mark.slow
def test_s3_is_read_and_written_like_other_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    running = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        for name, value in {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*running.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        files = fsspec.filesystem("s3")
        files.mkdir("lab")
        ngff(tmp_path / "a.zarr", PIXELS, shards=(1, 32, 32))
        formats.save(tmp_path / "a.ome.tif", PIXELS, axes="ZYX")
        files.put(str(tmp_path / "a.zarr"), "lab/a.zarr", recursive=True)
        files.put(str(tmp_path / "a.ome.tif"), "lab/a.ome.tif")
        assert [p.name for p in formats.find(["s3://lab/"])] == ["a.ome.tif", "a.zarr"]
        for image in formats.open_all(formats.find(["s3://lab/"])):
            assert image.axes == "ZYX"
            np.testing.assert_array_equal(image.read({"Z": 1})[0, 0, 0, 0], PIXELS[1])
        with pytest.raises(InputError, match=r"s3://lab/b\.zarr holds no Zarr"):
            formats.open("s3://lab/b.zarr")
        with pytest.raises(InputError, match=r"no such file: s3://lab/b\.tif"):
            formats.open("s3://lab/b.tif")
        for name in ("c.zarr", "c.tif"):
            for pixels in (PIXELS, PIXELS + 1):
                formats.save(f"s3://lab/{name}", pixels, axes="ZYX", overwrite=True)
                np.testing.assert_array_equal(formats.open(f"s3://lab/{name}").data[...], pixels)
            with pytest.raises(InputError, match="input is never overwritten"):
                formats.create(f"s3a://lab/{name}", formats.open(f"s3://lab/{name}"))
        files.invalidate_cache()
        assert {p.split("/")[1] for p in files.ls("lab", False)} == {
            *("a.zarr", "a.ome.tif"),
            *("c.zarr", "c.tif"),
        }
    finally:
        running.stop()


@pytest.mark.parametrize(
    "name", ["a.npy", "a.zarr", "lab", "lab/*.npy", "t{t}.npy", "lab/t{t}.npy", "lab/a.ome.tif"]
)
def test_a_server_may_forbid_every_address(
    server: tuple[str, Path], memory: object, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its users would reach what it reaches: other machines, and the metadata of a cloud."""
    address, _ = server
    monkeypatch.setenv(urls.LOCAL_ONLY, "1")
    for root in (address, "memory:/", "http://169.254.169.254", "s3://bucket"):
        with pytest.raises(InputError, match=r"not opened here|no such file"):
            formats.open_all(formats.find([f"{root}/{name}"]))
    with pytest.raises(InputError, match="not opened here"):
        formats.read_mask(f"{address}/{name}")
