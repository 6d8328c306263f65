"""The server of the page: its parts put together, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.app.events import stopping_signals
from unnoise.app.web.access import Access
from unnoise.app.web.guard import Application, Guard, Receive, Scope, Send
from unnoise.app.web.settings import EVERYWHERE, LOCAL, Settings
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError, UnnoiseError
from unnoise.images.formats import urls

if TYPE_CHECKING:
    import uvicorn

SOON = 5.0
"""Seconds after a page was forgotten until its memory is returned, with that of others."""
MORE_PORTS = 20
"""Ports that are tried after the first where none was asked for."""


def run(
    settings: Settings,
    *,
    any_port: bool = False,
    open_browser: bool = False,
    echo: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    settings : Settings
    any_port : bool
        Whether another port is taken where the wanted one is in use.
    open_browser : bool
        Whether the page is opened in the browser of this machine.
    echo : callable
        Prints a line.

    Raises
    ------
    InputError
        If the settings are unsafe or the port is in use.
    UnnoiseError
        If NiceGUI is not installed.
    """
    settings.check()
    try:
        import nicegui  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UnnoiseError(
            "the page needs NiceGUI, which is not installed; pip install 'unnoise[app]'"
        ) from error
    listening = _listening(settings, any_port=any_port)
    from unnoise.app.web.home_page import told
    from unnoise.app.web.pages import application
    from unnoise.app.web.site import Site

    workspace = Workspace(settings.workspace)
    workspace.prepare()
    access = Access(settings)
    with urls.local_only(), listening, Site.opened(settings, workspace) as site, _settled():
        for problem in told(site.queue.problems):
            echo(problem)
        place = address(settings, listening.getsockname()[1], access)
        config = uvicorn.Config(
            compressed(Guard(application(site), access)),
            log_level="warning",
            access_log=False,  # it would hold the token
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="wsproto",
            ws_max_size=1 << 20,
            timeout_graceful_shutdown=3,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        shown = _opened(place, workspace.own) if open_browser else contextlib.nullcontext()
        _serve(uvicorn.Server(config), listening, place, settings, shown, echo)
    echo("closed; jobs that wait go on when unnoise app is started again")


def _serve(
    server: uvicorn.Server,
    listening: socket.socket,
    place: str,
    settings: Settings,
    shown: AbstractContextManager[None],
    echo: Callable[[str], None],
) -> None:
    """Until a signal to stop, which ends it well."""
    with _heard(server):
        echo(f"unnoise app: {place}")
        if settings.password is not None:
            echo("It asks for the password.")
        echo(f"Images are chosen from {settings.workspace.resolve()}. Stop with Ctrl-C.")
        with shown, contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


@contextlib.contextmanager
def _opened(place: str, folder: Path) -> Iterator[None]:
    """Open an address in the browser by way of a file that leads there, which nobody else can read.

    All users of a machine see the words that programs are started with, so the token must not be
    among them. The folder is not hidden: browsers of snap read nothing in those that are.
    """
    handle, name = tempfile.mkstemp(".html", "open-", folder)
    file = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as page:
            page.write(
                f'<!doctype html><meta charset="utf-8"><title>unnoise</title>'
                f'<meta http-equiv="refresh" content="0;url={escape(place)}">'
                f'<a href="{escape(place)}">Go on</a>'
            )
        webbrowser.open(file.as_uri())
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """What has been loaded is not searched for garbage again, nor looked at by NiceGUI.

    A page that was closed is a cycle of objects, for which Python searches all: 295,000, of which
    41,000 are not those of PyTorch and other modules. So nobody is answered for 0.14 s, and seldom:
    180,000 blocks of memory waited for it, with others in between. Without the modules it may come
    more often. Of what NiceGUI looks at when it starts, objects of PyTorch would warn.

    Large arrays get small pages of memory. NumPy asks for huge ones, also for those that a look at
    an image has in the heap; when they are gone, Linux fills such places again: a server that
    nobody used grew by 17 MB within half a minute.
    """
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*usual[:2], 1)
    _tidy_after_pages()
    huge = _huge_pages(False)
    try:
        yield
    finally:
        _huge_pages(huge)
        gc.set_threshold(*usual)
        gc.unfreeze()


def _huge_pages(wanted: bool) -> bool:
    """Whether NumPy asks Linux for huge pages, and what it did before.

    The variable of the environment that is documented for it is read once, before the page, and the
    jobs would have it, too.
    """
    try:
        from numpy._core import multiarray

        return bool(multiarray._set_madvise_hugepage(wanted))  # type: ignore[attr-defined]
    except (ImportError, AttributeError):  # another NumPy
        return wanted


def _tidy_after_pages() -> None:
    """Soon after pages were forgotten, return to the system what they took.

    Else their garbage waits for that of others, who may come the next day, and what is free of the
    heap stays taken. It takes some milliseconds.
    """
    import nicegui

    from unnoise.nets.device import release_memory, share_heap

    share_heap()
    waiting = False

    def tidy() -> None:
        nonlocal waiting
        waiting = False
        gc.collect()
        release_memory()

    def want() -> None:
        nonlocal waiting
        if not waiting:
            waiting = True
            asyncio.get_running_loop().call_later(SOON, tidy)

    nicegui.app.on_delete(want)


@contextlib.contextmanager
def _heard(server: uvicorn.Server) -> Iterator[None]:
    """Signals to stop are a wish that the server hears as soon as it runs.

    An exception in the middle of its start left coroutines that nobody awaited.
    """
    old: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            old = {n: signal.signal(n, server.handle_exit) for n in stopping_signals()}
        yield
    finally:
        while old:
            signal.signal(*old.popitem())


def address(settings: Settings, port: int, access: Access) -> str:
    """What to type into a browser.

    Without a password it holds the token that lets its holder in.
    """
    scheme = "https" if settings.encrypted else "http"
    if settings.behind_proxy:
        return f"{scheme}://{settings.allow_hosts[0]}/"
    host = settings.host
    if host in EVERYWHERE:
        host = settings.allow_hosts[0] if settings.allow_hosts else socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    token = "" if settings.password is not None else f"?token={access.secret}"
    return f"{scheme}://{host}:{port}/{token}"


def _listening(settings: Settings, *, any_port: bool) -> socket.socket:
    """A socket on a free port."""
    ports = range(settings.port, min(settings.port + (MORE_PORTS if any_port else 1), 65536))
    host = LOCAL[0] if settings.host == "localhost" else settings.host
    problem: OSError | None = None
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen(128)
            return found
        except OSError as error:
            found.close()
            problem = error
    raise InputError(
        f"cannot listen on {settings.host}, port {settings.port} "
        f"({problem.strerror if problem else 'no such port'}); choose another one with --port"
    )


def compressed(app: Application) -> Application:
    """Scripts and styles of the library go compressed, images as they are."""
    from starlette.middleware.gzip import GZipMiddleware

    packed: Any = GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = packed if scope.get("path", "").startswith("/_nicegui/") else app
        await chosen(scope, receive, send)

    return choose
