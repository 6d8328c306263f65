"""Uploads arrive whole, within limits, or leave nothing; downloads lie in the workspace."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from unnoise.app.web import transfer
from unnoise.app.web.settings import Settings
from unnoise.app.web.site import Site
from unnoise.app.web.transfer import Uploads
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError
from unnoise.images import atomic

from .browserless import asked, pieces, together

BYTES = os.urandom(300_000)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty one."""
    (tmp_path / "work").mkdir()
    found = Workspace(tmp_path / "work")
    found.prepare()
    return found


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk of the tests is."""
    monkeypatch.setattr(transfer, "KEPT_FREE", 0)


def server(workspace: Workspace, **changed: Any) -> Starlette:
    """Takes uploads."""
    settings = replace(Settings(workspace.root, upload_limit=1_000_000), **changed)
    answer = Uploads(workspace, settings).answer
    return Starlette(routes=[Route("/upload", answer, methods=["POST"])])


def left(workspace: Workspace) -> list[str]:
    """The files of the workspace."""
    return sorted(workspace.name(p) for p in workspace.root.rglob("*") if p.is_file())


def test_an_upload_arrives_bit_for_bit_and_for_its_owner_alone(workspace: Workspace) -> None:
    app = server(workspace)
    for name in ("cells.tif", "cells_2.tif"):
        answer = asked(app, "POST", "/upload?name=cells.tif", content=pieces(BYTES))
        assert answer.json() == {"name": f"unnoise-app/uploads/{name}"}
        path = workspace.uploads / name
        assert path.read_bytes() == BYTES
        if os.name == "posix":
            assert path.stat().st_mode & 0o777 == 0o600
    assert len(left(workspace)) == 2


@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("x.tif", pieces(b"x" * 1_000_001), 413, "--upload-limit"),  # no length told
        ("x.tif", b"x" * 1_000_001, 413, "--upload-limit"),
        ("x.tif", b"", 400, "empty"),
        ("x.exe", b"MZ", 400, "suffix"),
        ("", b"x", 400, "suffix"),
    ],
)
def test_what_is_refused_leaves_nothing(
    workspace: Workspace, name: str, content: Any, status: int, says: str
) -> None:
    answer = asked(server(workspace), "POST", f"/upload?name={name}", content=content)
    assert answer.status_code == status
    assert says in answer.json()["problem"]
    assert left(workspace) == []


@pytest.mark.parametrize("name", ["../../x.tif", "/etc/x.tif", "..%5C..%5Cx.tif", "a%00/x.tif"])
def test_a_name_does_not_choose_the_folder(workspace: Workspace, name: str) -> None:
    asked(server(workspace), "POST", f"/upload?name={name}", content=b"x")
    assert left(workspace) == ["unnoise-app/uploads/x.tif"]


def test_the_number_of_uploads_is_limited(workspace: Workspace) -> None:
    app = server(workspace, upload_count=2)
    found = [asked(app, "POST", "/upload?name=x.tif", content=b"x").status_code for _ in range(3)]
    assert found == [200, 200, 413]


def test_a_full_disk_is_told_early(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "KEPT_FREE", 1e18)
    answer = asked(server(workspace), "POST", "/upload?name=x.tif", content=b"x")
    assert "free some space" in answer.json()["problem"]


def test_a_connection_that_breaks_leaves_nothing(workspace: Workspace) -> None:
    coming = [
        {"type": "http.request", "body": b"x" * 1000, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict:
        return coming.pop(0)

    query = {"type": "http", "method": "POST", "headers": [], "query_string": b"name=x.tif"}
    uploads = Uploads(workspace, Settings(workspace.root))
    asyncio.run(uploads.answer(Request(query, receive)))
    assert left(workspace) == []


def test_connections_on_which_nothing_comes_make_room_for_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SILENCE", 0.05)
    uploads = Uploads(workspace, Settings(workspace.root))

    async def silent() -> int:
        coming = [{"type": "http.request", "body": b"xyz", "more_body": True}]

        async def receive() -> dict:
            return coming.pop(0) if coming else await asyncio.Event().wait()

        query = {"type": "http", "method": "POST", "headers": [], "query_string": b"name=x.tif"}
        return (await uploads.answer(Request(query, receive))).status_code

    assert together(*[silent] * transfer.MOST_AT_ONCE) == [400] * transfer.MOST_AT_ONCE
    assert left(workspace) == []
    assert uploads._promised == {}
    monkeypatch.setattr(transfer, "SILENCE", 60.0)
    assert taken(uploads, Coming(BYTES, 100_000, True, lambda: None)) == [200]


class Coming:
    """A request whose body comes in pieces; something may be done before each."""

    def __init__(self, body: bytes, size: int, told: bool, before: Callable[[], Any]) -> None:
        self.query_params = {"name": "cells.tif"}
        self.headers = {"content-length": str(len(body))} if told else {}
        self._pieces, self._before = pieces(body, size), before

    async def stream(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self._before()
            await asyncio.sleep(0)
            yield piece


def taken(uploads: Uploads, *coming: Coming) -> list[int]:
    """What became of uploads at once."""
    requests: Any = coming
    answers = together(*(partial(uploads.answer, one) for one in requests))
    return [answer.status_code for answer in answers]


def test_a_second_server_that_is_refused_takes_no_upload_away(workspace: Workspace) -> None:
    left_over = workspace.incoming / "1.part"
    left_over.touch()
    settings = Settings(workspace.root)

    def second() -> None:
        other = Workspace(workspace.root)
        other.prepare()  # as `unnoise app` does
        with pytest.raises(InputError, match="another program"), Site.opened(settings, other):
            pass

    with Site.opened(settings, workspace):
        assert not left_over.exists()
        found = taken(Uploads(workspace, settings), Coming(BYTES, 100_000, False, second))
    assert found == [200]
    assert (workspace.uploads / "cells.tif").read_bytes() == BYTES


@pytest.mark.parametrize("links", [True, False])
def test_an_upload_that_is_lost_leaves_nothing_under_its_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)

    def lose() -> None:
        for part in workspace.incoming.iterdir():
            part.unlink()

    uploads = Uploads(workspace, Settings(workspace.root))
    assert taken(uploads, Coming(BYTES, 100_000, True, lose)) == [507]
    assert left(workspace) == []
    assert taken(uploads, Coming(BYTES, 100_000, True, lambda: None)) == [200]
    assert left(workspace) == ["unnoise-app/uploads/cells.tif"]


def no_links(*names: Any) -> None:
    raise PermissionError(1, "Operation not permitted")  # as disks of cameras do


@pytest.mark.parametrize("told", [[True] * 8, [False] * 8, [True, False] * 4])
def test_uploads_at_once_leave_the_disk_its_room(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, told: list[bool]
) -> None:
    monkeypatch.setattr(transfer, "KEPT_FREE", 500_000)
    monkeypatch.setattr(transfer, "STEP", 20_000)
    room = []

    def free(*_: Any) -> int:
        found = [path.stat() for path in workspace.own.rglob("*") if path.is_file()]
        files = {one.st_ino: one.st_size for one in found}  # a finished one has two names at first
        room.append(1_100_000 - sum(files.values()))
        return room[-1]

    usage = SimpleNamespace(disk_usage=lambda place: SimpleNamespace(free=free()))
    monkeypatch.setattr(transfer, "shutil", usage)
    uploads = Uploads(workspace, Settings(workspace.root))
    found = taken(uploads, *(Coming(BYTES, 10_000, one, free) for one in told))
    free()
    assert min(room) >= 500_000
    assert set(found) == {200, 400}
    assert room[-1] == 1_100_000 - found.count(200) * len(BYTES)  # what was refused is gone
    assert taken(uploads, Coming(BYTES[:9], 9, True, free)) == [200]  # nothing stays promised


def test_uploads_on_their_way_count(workspace: Workspace) -> None:
    uploads = Uploads(workspace, Settings(workspace.root, upload_count=3))
    found = taken(uploads, *(Coming(b"x", 1, True, lambda: None) for _ in range(5)))
    assert sorted(found) == [200, 200, 200, 413, 413]


def test_what_is_told_as_kept_is_on_the_disk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []
    fsync = os.fsync

    def sync(file: int) -> None:
        fsync(file)
        synced.append((os.fstat(file).st_ino, len(list(workspace.uploads.iterdir()))))

    monkeypatch.setattr(os, "fsync", sync)
    uploads = Uploads(workspace, Settings(workspace.root))
    assert taken(uploads, Coming(BYTES, 100_000, True, lambda: None)) == [200]
    (path,) = workspace.uploads.iterdir()
    # Its bytes before it has its name, and then the name in the folder.
    assert synced == [(path.stat().st_ino, 0), (workspace.uploads.stat().st_ino, 1)]


def test_so_many_uploads_run_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MOST_AT_ONCE", 0)
    assert asked(server(workspace), "POST", "/upload?name=x.tif", content=b"x").status_code == 429


def test_an_upload_is_never_in_memory(workspace: Workspace) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield bytes(1 << 16)

    app = server(workspace, upload_limit=10**9)
    tracemalloc.start()
    try:
        assert asked(app, "POST", "/upload?name=x.tif", content=many()).status_code == 200
        assert tracemalloc.get_traced_memory()[1] < 8e6  # of 26 MB
    finally:
        tracemalloc.stop()


def serving(answer: Any) -> Starlette:
    """A server with one answer."""
    return Starlette(routes=[Route("/", lambda request: answer)])


def test_a_download_is_the_file_under_its_name(workspace: Workspace) -> None:
    path = workspace.results / "z\u00e9lle <b>.tif"
    path.write_bytes(BYTES)
    answer = asked(serving(transfer.download(workspace, path)))
    assert answer.content == BYTES
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment")
    assert "<" not in disposition
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_result_is_not_called_as_its_image(workspace: Workspace) -> None:
    path = workspace.results / "cells.ome.tif"
    path.write_bytes(BYTES)
    answer = asked(serving(transfer.download(workspace, path, word="denoised")))
    assert 'filename="cells_denoised.ome.tif"' in answer.headers["content-disposition"]


def test_a_folder_is_downloaded_as_a_zip_file(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.results / "x.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "0" / "c").write_bytes(BYTES)
    (tmp_path / "secret").write_text("secret")
    (folder / "0" / "link").symlink_to(tmp_path / "secret")
    answer = asked(serving(transfer.download(workspace, folder)))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["x.zarr/0/c", "x.zarr/zarr.json"]
        assert archive.read("x.zarr/0/c") == BYTES


def test_what_lies_elsewhere_is_not_downloaded(workspace: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("secret")
    (workspace.results / "link.html").symlink_to(secret)
    for path in (secret, workspace.results / "link.html", workspace.results / "no.html", None):
        for answer in (transfer.download, transfer.report):
            found = asked(serving(answer(workspace, path)))
            assert found.status_code == 404
            assert found.text != "secret"


def test_a_report_is_shut_off_from_the_page(workspace: Workspace) -> None:
    path = workspace.results / "x.report.html"
    path.write_text("<script>1</script>")
    answer = asked(serving(transfer.report(workspace, path)))
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert asked(serving(transfer.report(workspace, path.with_suffix(".tif")))).status_code == 404


def test_an_upload_that_has_its_name_already_counts_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk takes its time, it is in the folder and on its way."""
    for name in "ab":
        (workspace.uploads / f"{name}.tif").write_bytes(b"x")
    others, answers = [threading.Event(), threading.Event()], []
    sync = atomic.sync_names

    def late(folder: Path) -> None:
        others[0].set()
        assert others[1].wait(60)
        sync(folder)

    monkeypatch.setattr(atomic, "sync_names", late)
    uploads = Uploads(workspace, Settings(workspace.root, upload_count=4))

    async def second() -> Any:
        while not others[0].is_set():
            await asyncio.sleep(0.01)
        monkeypatch.setattr(atomic, "sync_names", sync)
        request: Any = Coming(b"x", 1, True, lambda: None)
        for _ in range(2):  # the fourth, and one too many
            answers.append((await uploads.answer(request)).status_code)
        others[1].set()
        return SimpleNamespace(status_code=0)

    first: Any = Coming(b"x", 1, True, lambda: None)
    found = together(lambda: uploads.answer(first), second)
    assert (found[0].status_code, answers) == (200, [200, 413])
    assert len(left(workspace)) == 4
