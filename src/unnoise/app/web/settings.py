"""How the page is served: where it listens, who may see it, and how much it takes."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unnoise.errors import InputError

PORT = 8000
LOCAL = ("127.0.0.1", "localhost", "::1")
"""What this machine calls itself."""
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  what is checked for
SHORTEST = 8
"""Letters of a password at least."""


@dataclass(frozen=True)
class Settings:
    """What `unnoise app` was started with.

    Attributes
    ----------
    workspace : Path
        The folder whose images can be chosen, and where uploads and results lie.
    host : str
        The address that is listened on.
    port : int
    password : str or None
        What visitors type in; without it, a token in the printed address lets them in.
    tls_cert, tls_key : Path or None
        Certificate and key, for encrypted connections.
    behind_proxy : bool
        Whether a reverse proxy encrypts the connections.
    allow_hosts : tuple of str
        Further names under which browsers reach this server.
    upload_limit : int
        Bytes of an uploaded file at most.
    upload_count : int
        Uploaded files that are kept at most.
    """

    workspace: Path
    host: str = "127.0.0.1"
    port: int = PORT
    password: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    allow_hosts: tuple[str, ...] = ()
    upload_limit: int = 4_000_000_000
    upload_count: int = 200

    @property
    def encrypted(self) -> bool:
        """Whether browsers reach the page by https."""
        return self.behind_proxy or self.tls_cert is not None

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        return not self.behind_proxy and is_loopback(self.host)

    def names(self) -> frozenset[str]:
        """The host names that this server answers to, in lower case."""
        named = {*LOCAL, *self.allow_hosts}
        if self.host in EVERYWHERE:
            named |= {socket.gethostname(), socket.getfqdn()}
        else:
            named.add(self.host)
        return frozenset(host_name(name) for name in named)

    def check(self) -> None:
        """Refuse what would be unsafe or could not work.

        Raises
        ------
        InputError
        """
        if not self.workspace.is_dir():
            raise InputError(
                f"the workspace {self.workspace} is no folder; name one that exists with "
                f"--workspace"
            )
        if not os.access(self.workspace, os.W_OK):
            raise InputError(
                f"nothing can be written into the workspace {self.workspace}, where uploads and "
                f"results go; name another folder with --workspace"
            )
        if not self.is_local and self.password is None:
            raise InputError(
                f"others on the network can reach {self.host}, so a password is needed; add "
                f"--password, or leave --host out and use an ssh tunnel"
            )
        if self.password is not None and len(self.password) < SHORTEST:
            raise InputError(
                f"the password has {len(self.password)} characters; take {SHORTEST} or more"
            )
        if not self.is_local and not self.encrypted:
            raise InputError(
                f"the password would go to {self.host} unencrypted; add --tls-cert and --tls-key, "
                f"or --behind-proxy where a reverse proxy encrypts (docs/app.md)"
            )
        if self.behind_proxy and not self.allow_hosts:
            raise InputError(
                "a reverse proxy passes on the name that visitors type; tell it with "
                "--allow-host, e.g. --allow-host denoise.example.org"
            )
        self._check_tls()

    def _check_tls(self) -> None:
        """Both files, and they fit."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("encryption needs both --tls-cert and --tls-key; give the other too")
        if self.tls_cert is None or self.tls_key is None:
            return
        for path in (self.tls_cert, self.tls_key):
            if not path.is_file():
                raise InputError(f"no such file: {path}; check the name and the folder")
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise InputError(
                f"{self.tls_cert} and {self.tls_key} are no certificate with its key "
                f"({getattr(error, 'reason', None) or error}); give both as PEM, without a password"
            ) from error


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "lab.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(netloc: str) -> str:
    """The name in a ``Host`` header, without its port; empty where there is none.

    Examples
    --------
    >>> [host_name(text) for text in ("LocalHost:8000", "[::1]:80", "::1", "lab.org.", "a/b", "")]
    ['localhost', '::1', '::1', 'lab.org', '', '']
    """
    if netloc.count(":") > 1 and not netloc.startswith("["):
        netloc = f"[{netloc}]"
    try:
        split = urlsplit(f"//{netloc}")
        plain = split.netloc == netloc and "@" not in netloc and split.port != 0
        return (split.hostname or "").rstrip(".") if plain else ""
    except ValueError:  # a port that is no number
        return ""


def bytes_of(text: str) -> int:
    """A size as people write it, in bytes.

    Raises
    ------
    InputError

    Examples
    --------
    >>> bytes_of("500MB"), bytes_of("4 gb"), bytes_of("1000")
    (500000000, 4000000000, 1000)
    """
    units = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1, "": 1}
    number = text.strip().upper().rstrip("TGMKB").strip()
    unit = text.strip().upper()[len(number) :].strip()
    try:
        size = float(number) * units[unit]
        if 1 <= size < 1e18:
            return int(size)
    except (ValueError, KeyError):
        pass
    raise InputError(f"'{text}' is no size of a file; write it as 500MB or 4GB")
