"""The server starts safely: where it listens, what it prints, what is missing."""

from __future__ import annotations

import asyncio
import builtins
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from unnoise.app.web import server
from unnoise.app.web.access import Access
from unnoise.app.web.settings import Settings
from unnoise.errors import InputError, UnnoiseError

from .browserless import asked


def test_without_nicegui_a_sentence_tells_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "nicegui":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "nicegui", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnnoiseError, match=r"pip install 'unnoise\[app\]'"):
        server.run(Settings(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_unsafe_settings_open_no_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_listening", pytest.fail)
    with pytest.raises(InputError, match="--password"):
        server.run(Settings(tmp_path, "0.0.0.0"))


def test_a_port_in_use_is_told_or_passed_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(InputError, match="--port"):
            server._listening(settings, any_port=False)
        with server._listening(settings, any_port=True) as found:
            assert found.getsockname()[1] > settings.port


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, r"http://127\.0\.0\.1:80/\?token=\S{43}"),
        ({"host": "::1"}, r"http://\[::1\]:80/\?token=\S{43}"),
        ({"password": "a long password"}, r"http://127\.0\.0\.1:80/"),
        ({"host": "0.0.0.0", "allow_hosts": ("lab.org",), "password": "x"}, r"http://lab\.org:80/"),
        (
            {"behind_proxy": True, "allow_hosts": ("lab.org",), "password": "x"},
            r"https://lab\.org/",
        ),
    ],
)
def test_the_printed_address_leads_to_the_page(
    tmp_path: Path, changed: dict, expected: str
) -> None:
    settings = Settings(tmp_path, **changed)
    assert re.fullmatch(expected, server.address(settings, 80, Access(settings)))


def test_every_start_has_a_token_of_its_own(tmp_path: Path) -> None:
    first, second = (Access(Settings(tmp_path)) for _ in range(2))
    assert first.secret != second.secret
    assert first.cookie != second.cookie


def test_ctrl_c_while_it_starts_ends_it(tmp_path: Path) -> None:
    import uvicorn

    settings, said = Settings(tmp_path, port=0), []
    before = signal.getsignal(signal.SIGINT)

    def echo(text: str) -> None:
        said.append(text)
        if text.endswith("Stop with Ctrl-C."):
            signal.raise_signal(signal.SIGINT)

    page = uvicorn.Server(uvicorn.Config(lambda *asgi: None, lifespan="off", log_level="error"))
    with server._listening(settings, any_port=True) as listening:
        server._serve(page, listening, "http://127.0.0.1/", settings, nullcontext(), echo)
    assert page.should_exit
    assert len(said) == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_the_browser_is_led_to_the_token_by_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    settings = Settings(tmp_path)
    access = Access(settings)
    place = server.address(settings, 80, access)
    with server._opened(place, tmp_path):
        (file,) = tmp_path.iterdir()
        assert opened == [file.as_uri()]
        assert access.secret not in opened[0]  # all users see what programs are started with
        if sys.platform != "win32":
            assert file.stat().st_mode & 0o777 == 0o600
        led = re.findall(r'content="0;url=([^"]+)"', file.read_text(encoding="utf-8"))
        assert led == [place]
    assert list(tmp_path.iterdir()) == []


def test_pages_that_are_forgotten_together_are_tidied_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nicegui = pytest.importorskip("nicegui")
    done: list[str] = []
    monkeypatch.setattr(server, "SOON", 0.01)
    monkeypatch.setattr(server.gc, "collect", lambda: done.append("collected"))
    monkeypatch.setattr("unnoise.nets.device.release_memory", lambda: done.append("returned"))
    monkeypatch.setattr(nicegui.app, "on_delete", done.append)
    server._tidy_after_pages()
    forgotten: Any = done.pop()

    async def pages() -> None:
        for _ in range(2):
            for _ in range(3):
                forgotten()
            await asyncio.sleep(0.1)

    asyncio.run(pages())
    assert done == ["collected", "returned"] * 2


HUGE = """
import re
import numpy as np
from pathlib import Path
from unnoise.app.web import server

def is_huge():
    array = np.empty(2**23)  # 64 MB
    place, found = array.ctypes.data + array.nbytes // 2, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found = int(bounds[1], 16) <= place < int(bounds[2], 16)
        elif found and line.startswith("VmFlags:"):
            return "hg" in line.split()

print(is_huge())
with server._settled():
    print(is_huge())
print(is_huge())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc/self/smaps")
def test_a_server_has_no_huge_pages_and_others_have_them_again() -> None:
    """In a process where nothing was trained: a training keeps large arrays in the heap."""
    pytest.importorskip("nicegui")
    pytest.importorskip("numpy._core.multiarray")
    told = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True, check=True)
    before, within, after = told.stdout.split()
    assert within == "False"
    assert after == before


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """The addresses of a server with one finished job, without pages."""
    from starlette.applications import Starlette

    from unnoise.app.session.job import Job
    from unnoise.app.session.request import Request
    from unnoise.app.web.gallery import Gallery
    from unnoise.app.web.pages import routes
    from unnoise.app.web.site import Site
    from unnoise.app.web.workspace import Workspace

    class Queue:
        """Knows one job."""

        def job(self, name: str) -> Job:
            if name != "1":
                raise InputError(f"there is no job {name}")
            result, secret = workspace.results / "a.tif", tmp_path / "secret.tif"
            for path in (result, secret):
                path.write_bytes(path.name.encode())
            return Job("1", Request(("a.tif",)), results=(result, secret))

    (tmp_path / "work").mkdir()
    workspace = Workspace(tmp_path / "work")
    workspace.prepare()
    queue: Any = Queue()
    return Starlette(
        routes=routes(Site(Settings(workspace.root), workspace, queue, Gallery(workspace)))
    )


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/job/1/result/0", 200),
        ("/job/1/result/1", 404),  # it lies outside the workspace
        ("/job/1/result/2", 404),
        ("/job/1/result/-1", 404),
        ("/job/1/result/x", 404),
        (f"/job/1/result/{'1' * 5000}", 404),
        ("/job/1/uncertainty/0", 404),
        ("/job/1/uncertainty/7", 404),
        (f"/job/1/uncertainty/{'1' * 5000}", 404),
        ("/job/1/report", 404),
        ("/job/1/model", 404),
        ("/job/2/result/0", 404),
        ("/job/..%2f1/result/0", 404),
        ("/assets/page.css", 200),
        ("/assets/", 404),
        ("/assets/pages.py", 404),
        ("/assets/..%2fpages.py", 404),
        ("/unnoise-app/results/a.tif", 404),
        ("/upload", 405),
    ],
)
def test_what_has_an_address(site: Any, url: str, status: int) -> None:
    assert asked(site, url=url).status_code == status


def test_scripts_of_the_library_are_compressed_and_images_are_not() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/javascript")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 5000})

    packed: Callable = server.compressed(app)
    assert asked(packed, url="/_nicegui/x.js").headers.get("content-encoding") == "gzip"
    assert "content-encoding" not in asked(packed, url="/tiles/x").headers
