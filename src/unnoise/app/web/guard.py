"""In front of everything: host names, origins and sessions are checked, headers are added."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from unnoise.app.web.access import Access

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_FORM = 4096
STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 15vh auto; padding: 0 1rem; }
label, input, button { display: block; font: inherit; }
input { width: 100%; box-sizing: border-box; margin: .25rem 0 1rem; padding: .5rem; }
button { padding: .5rem 1.5rem; }
"""
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
PLAIN = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),  # without any, forms would come from the origin "null"
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", PERMISSIONS),
)
"""Headers of every answer."""


class Guard:
    """An ASGI application that lets through what may pass.

    Parameters
    ----------
    app : ASGI application
        What is guarded; its requests have the session's owner under ``state.owner``.
    access : Access
    """

    def __init__(self, app: Application, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = _headers(scope)
        host = headers.get("host", "")
        refused = self.access.wrong_host(host) or self._wrong_origin(scope, headers, host)
        owner = None if refused else self._owner(scope)
        if scope["type"] == "websocket":
            if refused or owner is None:
                await receive()  # the handshake, which is answered with 403
                await send({"type": "websocket.close", "code": 1008})
                return
        elif refused:
            await _page(send, 403, "Refused", f"<p>{escape(refused)}</p>")
            return
        elif owner is None or scope["path"] == "/login":
            await self._login(scope, receive, send)
            return
        scope.setdefault("state", {})["owner"] = owner
        nonce = secrets.token_urlsafe(16)
        await self.app(scope, receive, _Answer(send, nonce, self.access.settings.encrypted))

    def _wrong_origin(self, scope: Scope, headers: dict[str, str], host: str) -> str | None:
        """Why another page's request is refused; to follow its link is fine."""
        fetched = headers.get("sec-fetch-site")
        method = scope.get("method", "GET")
        if headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD"):
            return None
        return self.access.wrong_origin(headers.get("origin"), host, fetched)

    def _owner(self, scope: Scope) -> str | None:
        """The session of which a browser sends the cookie.

        Other programs of the host have cookies there, too, with whatever they like in them.
        """
        sent = b";".join(value for key, value in scope["headers"] if key.lower() == b"cookie")
        pairs = (pair.strip().partition("=") for pair in sent.decode("latin-1").split(";"))
        ours = (self.access.owner(value) for name, _, value in pairs if name == self.access.cookie)
        return next(filter(None, ours), None)

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a browser in by its token or password, or ask for them."""
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        guess = query.pop("token", None) if self.access.settings.password is None else None
        to = "/" + quote(scope["path"]).lstrip("/") if scope["path"] != "/login" else "/"
        if query:
            to += f"?{urlencode(query)}"
        if scope["path"] == "/login" and scope["method"] == "POST":
            guess, to = await _typed(receive), "/"
        elif scope["method"] != "GET":
            guess = None
        if guess is not None and self.access.is_busy:  # right or not, nobody has looked
            await self._ask(send, "Many are trying to get in; try again in a minute.", 429)
            return
        if guess is not None:
            value = await self.access.enter(guess)
            if value is not None:
                # A page and no redirect: browsers send no strict cookie along a chain of
                # redirects that began on another site, such as a link in a mail.
                entry = f'<meta http-equiv="refresh" content="0;url={escape(to)}">'
                link = f'<p><a href="{escape(to)}">Go on</a></p>'
                cookie = ("Set-Cookie", self.access.set_cookie(value))
                await _page(send, 200, "Welcome", link, head=entry, more=(cookie,))
                return
        name = "password" if self.access.settings.password is not None else "token"
        await self._ask(send, "" if guess is None else f"That {name} is not right.")

    async def _ask(self, send: Send, problem: str, status: int = 401) -> None:
        """The page with the field for a password or token."""
        if self.access.settings.password is None:
            name = "Token"
            what = "Open the address that <code>unnoise app</code> printed when it was started, "
            what += "or paste the token from its end."
        else:
            name, what = "Password", "This server asks for its password."
        problem = f'<p role="alert">{problem}</p>' if problem else ""
        form = (
            f'<p>{what}</p>{problem}<form method="post" action="/login">'
            f'<label for="secret">{name}</label><input id="secret" name="secret" type="password" '
            f'autocomplete="current-password" autofocus required><button>Enter</button></form>'
        )
        await _page(send, status, "unnoise", form)


class _Answer:
    """Adds headers to an answer; the scripts of the page get the nonce by which they may run."""

    def __init__(self, send: Send, nonce: str, encrypted: bool) -> None:
        self._send = send
        self._nonce = nonce
        self._encrypted = encrypted
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            headers = [(k.lower(), v) for k, v in message["headers"]]
            names = {k for k, _ in headers}
            is_page = dict(headers).get(b"content-type", b"").startswith(b"text/html")
            is_page = is_page and b"content-security-policy" not in names
            policy = page_policy(self._nonce) if is_page else CLOSED
            added = [*PLAIN, ("Content-Security-Policy", policy), ("Cache-Control", "no-store")]
            if self._encrypted:
                added.append(("Strict-Transport-Security", "max-age=31536000"))
            for name, value in added:
                key = name.lower().encode()
                if key not in names:
                    headers.append((key, value.encode("latin-1")))
            message = {**message, "headers": headers}
            if is_page and b"content-encoding" not in names:
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            mark = f'<script nonce="{self._nonce}"'.encode()
            body = self._body.replace(b"<script", mark)
            kept = [h for h in self._start["headers"] if h[0] != b"content-length"]
            length = (b"content-length", str(len(body)).encode())
            await self._send({**self._start, "headers": [*kept, length]})
            self._start = None
            message = {**message, "body": body}
        await self._send(message)


CLOSED = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""What anything but the page itself may do in a browser: nothing."""


def page_policy(nonce: str) -> str:
    """What the page may do: nothing that comes from, or goes to, another server.

    NiceGUI evaluates expressions that the server sends, hence ``unsafe-eval``. Handlers in
    attributes and addresses that begin with ``javascript:`` never run.
    """
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
        f"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
        f"connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
        f"form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )


async def _typed(receive: Receive) -> str:
    """What was typed into the form."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > LONGEST_FORM:
            break
    fields = parse_qs(body[:LONGEST_FORM].decode("latin-1"), keep_blank_values=True)
    return str(fields.get("secret", [""])[0])


async def _page(
    send: Send,
    status: int,
    title: str,
    body: str,
    *,
    head: str = "",
    more: tuple[tuple[str, str], ...] = (),
) -> None:
    """A page without scripts."""
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    ).encode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'"
    )
    headers = [
        *PLAIN,
        *more,
        ("Content-Security-Policy", policy),
        ("Cache-Control", "no-store"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(html))),
    ]
    raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": html})


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name in lower case; of repeated ones the last."""
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
