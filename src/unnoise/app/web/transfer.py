"""Files over HTTP: uploads while they stream in, and what jobs made."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from unnoise.app.web.settings import Settings
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError, UnnoiseError
from unnoise.images import atomic
from unnoise.images.formats.registry import suffix_of

MOST_AT_ONCE = 8
"""Uploads that run at a time."""
KEPT_FREE = 500_000_000
"""Bytes of the disk that uploads leave free."""
SILENCE = 60.0
"""Seconds after which an upload ends of which nothing comes; others may want its place."""
STEP = 4_000_000
"""Bytes of an upload after which is looked again whether there is room."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""A report runs its own script, as a page of no origin: it reaches neither cookies nor server."""


class Uploads:
    """Takes files, within limits.

    Parameters
    ----------
    workspace : Workspace
    settings : Settings
    """

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self._workspace = workspace
        self._settings = settings
        self._running = 0
        self._promised: dict[Path, int] = {}
        """Bytes for which each running upload has room."""
        self._named: dict[Path, Path] = {}
        """Names of running uploads that are whole, under which they count."""

    async def answer(self, request: Request) -> Response:
        """``POST /upload?name=cells.tif`` with the bytes of the file as its body."""
        if self._running >= MOST_AT_ONCE:
            return problem(429, f"{MOST_AT_ONCE} uploads are running; try again after one of them")
        self._running += 1
        try:
            path = await self._take(request)
        except InputError as error:
            return problem(413 if "limit" in str(error) else 400, str(error))
        except ClientDisconnect:
            return problem(400, "the upload was cancelled")
        except TimeoutError:  # one of OSError
            return problem(400, f"nothing came for {SILENCE:.0f} s; upload the file again")
        except OSError as error:
            return problem(507, f"the file cannot be kept ({error.strerror}); free some space")
        finally:
            self._running -= 1
        return JSONResponse({"name": self._workspace.name(path)})

    async def _take(self, request: Request) -> Path:
        """The finished file."""
        wanted = request.query_params.get("name", "")
        self._workspace.free_name(wanted)  # its suffix is refused before the bytes have come
        told = request.headers.get("content-length", "")
        awaited = int(told) if told.isdecimal() else 0
        self._check_size(awaited)
        self._check_count()
        part = self._workspace.incoming / f"{secrets.token_hex(16)}.part"
        try:
            self._promise(part, max(awaited, STEP))
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                size, room = 0, STEP
                coming = request.stream()
                while (chunk := await asyncio.wait_for(anext(coming, None), SILENCE)) is not None:
                    size += len(chunk)
                    self._check_size(size)
                    if size > room:
                        self._promise(part, len(chunk) + max(awaited - size, STEP))
                        room = size + STEP
                    await run_in_threadpool(file.write, chunk)
            if size == 0:
                raise InputError("the file is empty; choose another one")
            return await run_in_threadpool(self._keep, part, wanted)
        finally:
            self._promised.pop(part, None)
            self._named.pop(part, None)
            part.unlink(missing_ok=True)

    def _keep(self, part: Path, wanted: str) -> Path:
        """Give a finished file its name, which nobody else took meanwhile."""
        while True:
            path = self._workspace.uploads / self._workspace.free_name(wanted)
            self._named[part] = path  # before it has it: the disk may take its time
            with contextlib.suppress(FileExistsError):
                atomic.settle_new(part, path)
                return path

    def _check_size(self, size: int) -> None:
        """Refuse what is too large, told or not."""
        most = self._settings.upload_limit
        if size > most:
            raise InputError(
                f"the file is above the limit of {most / 1e6:,.0f} MB for uploads; put it into the "
                f"workspace on the server, or start unnoise app with a larger --upload-limit"
            )

    def _check_count(self) -> None:
        """Refuse more files; those that are on their way count, too."""
        files = set(self._workspace.uploads.iterdir())
        named = self._named.copy().values()
        kept = len(files.union(named)) + self._running - len(named) - 1
        if kept >= self._settings.upload_count:
            raise InputError(
                f"{kept} uploaded files are kept, which is the limit; delete some of "
                f"{self._workspace.name(self._workspace.uploads)} in the workspace"
            )

    def _promise(self, part: Path, size: int) -> None:
        """Room for further bytes of an upload, beside that of the others; or refuse it."""
        self._promised[part] = size
        free = shutil.disk_usage(self._workspace.uploads).free
        if free < sum(self._promised.values()) + KEPT_FREE:
            raise InputError("the disk of the server is nearly full; free some space there")


def problem(status: int, text: str) -> Response:
    """A sentence for people, as JSON."""
    return JSONResponse({"problem": text}, status)


def download(workspace: Workspace, path: Path | None, word: str = "") -> Response:
    """A file that a job made, or a folder of it as a ZIP file.

    The `word` is added to its name: results are called as the images that they are made of, beside
    which browsers save them.
    """
    try:
        if path is None:
            raise InputError("the job has no such file; start it again")
        real = workspace.inside(Path(path))
    except UnnoiseError as error:
        return problem(404, str(error))
    if real.is_dir():
        name = f"{_marked(real.name, word)}.zip"
        headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
        body = iterate_in_threadpool(_zipped(workspace, real))
        return StreamingResponse(body, media_type="application/zip", headers=headers)
    return FileResponse(
        real, media_type="application/octet-stream", filename=_marked(real.name, word)
    )


def report(workspace: Workspace, path: Path | None) -> Response:
    """A report, shut off from the page."""
    try:
        if path is None or Path(path).suffix != ".html":
            raise InputError("the job has no report")
        real = workspace.inside(Path(path))
    except UnnoiseError as error:
        return problem(404, str(error))
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return FileResponse(real, media_type="text/html; charset=utf-8", headers=headers)


def _marked(name: str, word: str) -> str:
    """A name with a word before its suffix.

    Examples
    --------
    >>> _marked("cells.ome.tif", "denoised"), _marked("cells.model", "")
    ('cells_denoised.ome.tif', 'cells.model')
    """
    stem = name[: len(name) - len(suffix_of(name))]
    stem = stem[:-4] if stem.lower().endswith(".ome") else stem
    end = name[len(stem) :]
    return f"{stem}_{word}{end}" if word else name


class _Pipe:
    """Holds what was written to a ZIP file until it is sent."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take some."""
        self.waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        """Give all."""
        data = b"".join(self.waiting)
        self.waiting.clear()
        return data


def _zipped(workspace: Workspace, folder: Path) -> Iterator[bytes]:
    """A folder as a ZIP file without compression (its chunks have theirs), piece by piece."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for place in sorted(folder.rglob("*")):
            if not place.is_file() or not place.resolve().is_relative_to(workspace.root):
                continue
            name = f"{folder.name}/{place.relative_to(folder).as_posix()}"
            with place.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()
