"""``unnoise app``: options of the server become settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from unnoise.app.cli.options import Debug
from unnoise.app.cli.terminal import echo


def page(
    workspace: Annotated[
        Path, typer.Option(help="Folder whose images can be chosen; uploads and results go there.")
    ] = Path("."),
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need --password.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help="Port. Default: 8000, or the next free one.", min=0, max=65535),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            help="What visitors type in, in place of the token; - asks for it here. "
            "Or in UNNOISE_PASSWORD.",
            envvar="UNNOISE_PASSWORD",
            show_envvar=False,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate (PEM), for encrypted connections.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A reverse proxy encrypts; see docs/app.md.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further name of this server in the address; may be repeated."),
    ] = None,
    upload_limit: Annotated[str, typer.Option(help="Largest file that may be uploaded.")] = "4GB",
    upload_count: Annotated[
        int, typer.Option(help="Uploaded files that are kept at most.", min=1)
    ] = 200,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Denoise in the browser: a page on this machine, or on a server.

    It prints an address to open; docs/app.md tells of servers.
    """
    from unnoise.app.web import server, settings

    if password == "-":  # noqa: S105  the wish to be asked
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    server.run(
        settings.Settings(
            workspace,
            host,
            settings.PORT if port is None else port,
            password or None,
            tls_cert,
            tls_key,
            behind_proxy,
            tuple(allow_host or ()),
            settings.bytes_of(upload_limit),
            upload_count,
        ),
        any_port=port is None,
        open_browser=not no_browser and _has_screen(),
        echo=echo,
    )


def _has_screen() -> bool:
    """Whether a browser would open where the user sits, and not in the terminal of a server."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    graphic = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(graphic) or sys.platform in ("win32", "darwin")
