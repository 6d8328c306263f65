"""Settings that would show the page to strangers are refused."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from unnoise.app.web.settings import Settings, bytes_of, host_name
from unnoise.errors import InputError

PASSWORD = "a long password"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2026, 1, 1)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    built = built.public_key(key.public_key()).serial_number(1).not_valid_before(now)
    signed = built.not_valid_after(now + datetime.timedelta(days=9999)).sign(key, hashes.SHA256())
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def test_this_machine_needs_neither_password_nor_encryption(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        Settings(tmp_path, host).check()


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"host": "0.0.0.0"}, "--password"),
        ({"host": "lab.example.org"}, "ssh tunnel"),
        ({"host": "0.0.0.0", "password": "short"}, "8 or more"),
        ({"host": "0.0.0.0", "password": PASSWORD}, "--tls-cert"),
        ({"behind_proxy": True}, "--password"),
        ({"behind_proxy": True, "password": PASSWORD}, "--allow-host"),
        ({"workspace": Path("no/such")}, "--workspace"),
        ({"tls_cert": Path("cert.pem")}, "--tls-key"),
        ({"tls_cert": Path("no.pem"), "tls_key": Path("no.pem")}, "no such file"),
    ],
)
def test_what_is_unsafe_is_refused_with_its_remedy(
    tmp_path: Path, changed: dict, remedy: str
) -> None:
    with pytest.raises(InputError, match=remedy):
        replace(Settings(tmp_path), **changed).check()


def test_a_certificate_must_fit_its_key(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    settings = Settings(tmp_path, "0.0.0.0", password=PASSWORD, tls_cert=cert, tls_key=key)
    settings.check()
    key.write_text("no key")
    with pytest.raises(InputError, match="PEM"):
        settings.check()


def test_the_server_answers_to_its_own_names_only(tmp_path: Path) -> None:
    assert Settings(tmp_path).names() == {"127.0.0.1", "localhost", "::1"}
    named = Settings(tmp_path, "10.0.0.7", allow_hosts=("Lab.Example.org",)).names()
    assert named == {"127.0.0.1", "localhost", "::1", "10.0.0.7", "lab.example.org"}
    assert "0.0.0.0" not in Settings(tmp_path, "0.0.0.0").names()


@pytest.mark.parametrize(
    "odd", ["user@127.0.0.1", "127.0.0.1:x", "a/b", "127.0.0.1#", "[", "127.0.0.1:99999"]
)
def test_what_is_no_host_has_no_name(odd: str) -> None:
    assert host_name(odd) == ""


@pytest.mark.parametrize("text", ["", "big", "-1MB", "0", "nan", "inf", "1XB", "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="500MB"):
        bytes_of(text)
