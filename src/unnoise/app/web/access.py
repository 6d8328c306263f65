"""Who may see the page: a token or a password, then a cookie; and under which host names."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from urllib.parse import urlsplit

from unnoise.app.web.settings import Settings, host_name

MOST_SESSIONS = 1000
PAUSE = 1.0
"""Seconds that a wrong password costs; one is tried at a time, so guessing takes years."""
MOST_WAITING = 20
"""Attempts that wait for their turn; further ones are turned away."""


class Access:
    """What lets a browser in.

    Parameters
    ----------
    settings : Settings
    token : str, optional
        By default a random one.

    Attributes
    ----------
    secret : str
        The token, or the password in its place.
    cookie : str
        The name of the cookie: browsers keep those of all ports of a host together, so each
        server has its own.
    """

    def __init__(self, settings: Settings, token: str | None = None) -> None:
        self.settings = settings
        self.secret = settings.password or token or secrets.token_urlsafe(32)
        self.cookie = f"unnoise-{secrets.token_hex(4)}"
        self.hosts = settings.names()
        self._sessions: OrderedDict[bytes, str] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    def wrong_host(self, host: str) -> str | None:
        """Why a ``Host`` header is refused: the page of a stranger's name may be an attack (DNS
        rebinding).
        """
        name = host_name(host)
        if name in self.hosts:
            return None
        return (
            f"This server does not answer to the name '{name}'. If it is yours, start unnoise app "
            f"with --allow-host {name}."
        )

    def wrong_origin(self, origin: str | None, host: str, fetched: str | None) -> str | None:
        """Why a request that a page of another origin made is refused.

        Parameters
        ----------
        origin : str or None
            The header ``Origin``.
        host : str
            The header ``Host``, which is right.
        fetched : str or None
            The header ``Sec-Fetch-Site``.
        """
        foreign = fetched in ("cross-site", "same-site")  # another port is the same site
        if origin is not None:
            try:
                place = urlsplit(origin)
            except ValueError:
                place = urlsplit("")
            # A proxy may leave the port out of Host; of this machine, ports are other programs.
            named = host_name(place.netloc) in self.hosts
            exact = self.settings.behind_proxy or _with_port(place.netloc, place.scheme) in (
                _with_port(host, "http"),
                _with_port(host, "https"),
            )
            foreign = foreign or not (named and exact)
        return "This request came from the page of another server." if foreign else None

    def owner(self, cookie: str | None) -> str | None:
        """The short name of a session, or None."""
        if not cookie:
            return None
        digest = _digest(cookie)
        owner = self._sessions.get(digest)
        if owner is not None:
            self._sessions.move_to_end(digest)
        return owner

    def is_secret(self, guess: str) -> bool:
        """Whether a guess is right, in a time that tells nothing."""
        return hmac.compare_digest(_digest(guess), _digest(self.secret))

    @property
    def is_busy(self) -> bool:
        """Whether so many attempts wait that a further one is turned away."""
        return self._waiting >= MOST_WAITING

    async def enter(self, guess: str) -> str | None:
        """A new session's cookie, or None: after a pause, or at once where too many wait."""
        if self.is_busy:
            return None
        self._waiting += 1
        try:
            async with self._turn:
                if not self.is_secret(guess):
                    await asyncio.sleep(PAUSE)
                    return None
        finally:
            self._waiting -= 1
        value = secrets.token_urlsafe(32)
        self._sessions[_digest(value)] = secrets.token_hex(4)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return value

    def set_cookie(self, value: str) -> str:
        """The header that gives a browser its session."""
        secure = "; Secure" if self.settings.encrypted else ""
        return f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _digest(text: str) -> bytes:
    """Of one length, whatever was typed; kept in the place of what lets people in."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _with_port(netloc: str, scheme: str) -> str:
    """A host with its port, also where it is left out."""
    try:
        port = urlsplit(f"//{netloc}").port
    except ValueError:
        return ""
    return f"{host_name(netloc)}:{port or {'http': 80, 'https': 443}.get(scheme, 0)}"
