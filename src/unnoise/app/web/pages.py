"""Where each address leads: pages of NiceGUI, files, tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from nicegui import binding, ui
from nicegui.page import page as nicegui_page
from starlette.responses import Response
from starlette.routing import Route

from unnoise.app.session.job import Job
from unnoise.app.web import home_page, image_page, job_page, tiles, transfer
from unnoise.app.web.picture import TILES
from unnoise.app.web.site import Site
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError

ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
MOST_DIGITS = 10
"""Of the number of a result; Python reads no number of thousands."""
HEAD = (
    '<link rel="stylesheet" href="/assets/page.css">'
    '<script src="/assets/page.js" defer></script>'
    '<link rel="icon" href="data:,">'
)


Made = Callable[[Job, int], Path | None]
Answer = Callable[[Workspace, Path | None], Response]


def application(site: Site) -> FastAPI:
    """Everything that the guard stands before."""
    # Else it prints how long it took to look at none whenever the machine is busy.
    binding.MAX_PROPAGATION_TIME = math.inf
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.extend(routes(site))
    app.include_router(tiles.router(site.gallery.image, prefix=TILES))
    _add_pages(site)
    ui.run_with(
        app,
        title="unnoise",
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=30,
        gzip_middleware_factory=None,
        show_welcome_message=False,
        cache_control_directives="private, max-age=86400",
    )
    return app


def routes(site: Site) -> list[Route]:
    """What is served beside the pages: uploads, and what jobs made."""
    uploads = transfer.Uploads(site.workspace, site.settings)

    def made(path: Made, answer: Answer = transfer.download) -> Callable[[HttpRequest], Response]:
        def endpoint(request: HttpRequest) -> Response:
            try:
                job = site.queue.job(request.path_params["job"])
            except InputError as error:
                return transfer.problem(404, str(error))
            digits = request.path_params.get("number", "0")
            is_number = digits.isdecimal() and len(digits) < MOST_DIGITS
            return answer(site.workspace, path(job, int(digits)) if is_number else None)

        return endpoint

    def result(job: Job, number: int) -> Path | None:
        return job.results[number] if number < len(job.results) else None

    def spread(job: Job, number: int) -> Path | None:
        return job.made[number].uncertainty if number < len(job.made) else None

    def marked(word: str) -> Answer:
        return partial(transfer.download, word=word)

    base = "/job/{job}"
    return [
        Route("/upload", uploads.answer, methods=["POST"]),
        Route("/assets/{name}", _asset),
        Route(f"{base}/result/{{number}}", made(result, marked("denoised"))),
        Route(f"{base}/uncertainty/{{number}}", made(spread, marked("uncertainty"))),
        Route(f"{base}/model", made(lambda job, _: job.model)),
        Route(f"{base}/report", made(lambda job, _: job.report, transfer.report)),
    ]


def _asset(request: HttpRequest) -> Response:
    """A file of this package; no other has an address."""
    name = request.path_params["name"]
    if name not in ASSETS:
        return transfer.problem(404, "there is no such file")
    content = resources.files("unnoise.app.web").joinpath(name).read_bytes()
    headers = {"Cache-Control": "private, max-age=60"}
    return Response(content, media_type=ASSETS[name], headers=headers)


def _add_pages(site: Site) -> None:
    """Tell NiceGUI the pages; it has one table of them for the whole process."""

    def home(request: HttpRequest) -> None:
        ui.add_head_html(HEAD)
        query = request.query_params
        home_page.build(site, query.get("folder", ""), query.get("first", ""))

    def image(request: HttpRequest) -> None:
        ui.add_head_html(HEAD)
        places = request.query_params.getlist("place")
        model = request.query_params.get("model", "")
        image_page.build(site, places, model, _owner(request))

    def job(request: HttpRequest, name: str) -> None:
        ui.add_head_html(HEAD)
        job_page.build(site, name, _owner(request))

    for path, builder in (("/", home), ("/image", image), ("/job/{name}", job)):
        nicegui_page(path, response_timeout=30)(builder)


def _owner(request: HttpRequest) -> str:
    """The session of a browser, as the guard found it."""
    return str(request.scope.get("state", {}).get("owner") or "")
