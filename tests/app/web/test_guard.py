"""Strangers are refused: other host names, other pages, no session, a wrong password."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from unnoise.app.web import access as access_module
from unnoise.app.web.access import Access
from unnoise.app.web.guard import Guard
from unnoise.app.web.settings import Settings

from .browserless import LOCAL, asked, connected, together

TOKEN = "t" * 43


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """A page that greets its session, and a websocket that accepts."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    kind = b"text/html" if scope["path"] == "/" else b"image/png"
    body = b'<script>1</script><script type="module">2</script>' + scope["state"]["owner"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body[:9], "more_body": True})
    await send({"type": "http.response.body", "body": body[9:]})


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Access:
    """Of a server on this machine, where a wrong guess costs no second."""
    monkeypatch.setattr(access_module, "PAUSE", 0.001)
    return Access(Settings(tmp_path), TOKEN)


@pytest.fixture
def guard(access: Access) -> Guard:
    """The server."""
    return Guard(inner, access)


def entered(guard: Guard, **options: Any) -> dict[str, str]:
    """The header of a session that was let in."""
    answer = asked(guard, url=f"/?token={TOKEN}", **options)
    assert answer.status_code == 200
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_the_printed_address_lets_in_and_gives_a_strict_cookie(guard: Guard) -> None:
    answer = asked(guard, url=f"/image?place=a%26b&token={TOKEN}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert TOKEN not in answer.text
    assert 'content="0;url=/image?place=a%26b"' in answer.text  # the token leaves the address
    assert answer.headers["referrer-policy"] == "same-origin"
    assert asked(guard, headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


def test_no_log_holds_the_token(
    guard: Guard, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for base in (LOCAL, "http://evil.org"):
            asked(guard, url=f"/?token={TOKEN}", base=base)
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    assert TOKEN not in "".join((*ours, *capfd.readouterr()))


@pytest.mark.parametrize("url", ["/", "/upload", "/?token=wrong", "/?token=", "/jobs/1/result"])
def test_without_a_session_nothing_is_shown(guard: Guard, url: str) -> None:
    answer = asked(guard, url=url, headers={"Cookie": "unnoise=1; x=y"})
    assert answer.status_code == 401
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers
    assert asked(guard, "POST", url).status_code == 401


def test_only_the_cookie_of_this_server_counts(guard: Guard, access: Access) -> None:
    header = entered(guard)
    value = header["Cookie"].partition("=")[2]
    assert asked(guard, headers={"Cookie": f"other={value}"}).status_code == 401
    assert asked(guard, headers={"Cookie": f"{access.cookie}={value}x"}).status_code == 401
    assert asked(guard, headers={"Cookie": f"{access.cookie}={TOKEN}"}).status_code == 401


@pytest.mark.parametrize(
    "other", ['x={"theme":"dark"}', "x=a b", 'x="', "x", "=", "\u00e4=\u00fc", ""]
)
def test_cookies_of_other_programs_of_the_host_lock_nobody_out(
    guard: Guard, access: Access, other: str
) -> None:
    ours = entered(guard)["Cookie"]
    for sent in (f"{other}; {ours}", f"{ours};{other}", f"{access.cookie}=old; {ours}; {other}"):
        header = {"Cookie": sent.encode("latin-1")}
        assert asked(guard, headers=header).status_code == 200
        assert connected(guard, {"Host": "127.0.0.1:8000", "Origin": LOCAL, "Cookie": sent})
    several = [("Cookie", other.encode("latin-1")), ("Cookie", ours), ("Cookie", "x=y")]
    assert asked(guard, headers=several).status_code == 200
    alone = {"Cookie": f"{other}; {access.cookie}=old".encode("latin-1")}
    assert asked(guard, headers=alone).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "a@127.0.0.1", ""])
def test_other_host_names_are_refused_even_with_a_session(guard: Guard, host: str) -> None:
    header = entered(guard)
    answer = asked(guard, headers={**header, "Host": host})
    assert answer.status_code == 403
    assert "--allow-host" in answer.text
    assert not connected(guard, {**header, "Host": host, "Origin": f"http://{host}"})


def test_a_name_in_a_refusal_is_escaped(guard: Guard) -> None:
    assert "<b>" not in asked(guard, headers={"Host": "<b>x"}).text


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:1234", "[::1]:8000", "LOCALHOST"])
def test_any_port_of_this_machine_will_do(guard: Guard, host: str) -> None:
    """As through an ssh tunnel."""
    header = {**entered(guard), "Host": host}
    assert asked(guard, headers=header).status_code == 200
    assert connected(guard, {**header, "Origin": f"http://{host}"})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9999", "null", "http://[", "file://"]
)
def test_pages_of_other_servers_cannot_ask(guard: Guard, origin: str) -> None:
    header = {**entered(guard), "Host": "127.0.0.1:8000", "Origin": origin}
    assert asked(guard, "POST", "/upload", headers=header).status_code == 403
    assert asked(guard, headers=header).status_code == 403
    assert not connected(guard, header)


def test_browsers_tell_where_a_request_comes_from(guard: Guard) -> None:
    header = entered(guard)
    for site, status in (("same-origin", 200), ("none", 200), ("same-site", 403)):
        answer = asked(guard, url="/x.png", headers={**header, "Sec-Fetch-Site": site})
        assert answer.status_code == status
    link = {**header, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert asked(guard, headers=link).status_code == 200
    assert asked(guard, "POST", headers=link).status_code == 403


def test_websockets_need_a_session(guard: Guard) -> None:
    right = {"Host": "127.0.0.1:8000", "Origin": LOCAL}
    assert not connected(guard, right)
    assert connected(guard, {**right, **entered(guard)})


def test_scripts_of_the_page_run_by_their_nonce_and_nothing_else_does(guard: Guard) -> None:
    header = entered(guard)
    first, second = asked(guard, headers=header), asked(guard, headers=header)
    policy = first.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)[1]
    assert first.text.count(f'<script nonce="{nonce}"') == 2
    assert nonce not in second.text
    assert "default-src 'none'" in policy
    assert "://" not in policy
    assert int(first.headers["content-length"]) == len(first.content)
    picture = asked(guard, url="/x.png", headers=header)
    assert "sandbox" in picture.headers["content-security-policy"]
    for answer in (first, picture, asked(guard)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"


def test_every_session_has_an_owner_of_its_own(guard: Guard) -> None:
    one, two = (asked(guard, headers=entered(guard)).text[-8:] for _ in range(2))
    assert one != two


def test_a_password_takes_the_place_of_the_token(tmp_path: Path) -> None:
    settings = Settings(
        tmp_path, password="a long p\u00e4ssword", behind_proxy=True, allow_hosts=("lab.org",)
    )
    guard = Guard(inner, Access(settings, TOKEN))
    base = "https://lab.org"
    assert asked(guard, url=f"/?token={TOKEN}", base=base).status_code == 401
    assert "Password" in asked(guard, base=base).text
    typed = {"secret": "a long p\u00e4ssword"}
    answer = asked(guard, "POST", "/login", base=base, data=typed, headers={"Origin": base})
    assert answer.status_code == 200
    assert "; Secure" in answer.headers["set-cookie"]
    foreign = {"Origin": "https://evil.example"}
    answer = asked(guard, "POST", "/login", base=base, data=typed, headers=foreign)
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [b"", b"secret=x", b"\xff\xfe", b"secret=" + b"x" * 100_000])
def test_a_wrong_password_is_told(guard: Guard, body: bytes) -> None:
    answer = asked(guard, "POST", "/login", content=body)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text


def test_guesses_wait_for_one_another(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "PAUSE", 0.01)
    tried: list[str] = []
    right = access.is_secret

    def count(guess: str) -> bool:
        tried.append(guess)
        return right(guess)

    monkeypatch.setattr(access, "is_secret", count)
    answers = together(*[lambda: access.enter("wrong")] * 50)
    assert answers == [None] * 50
    assert len(tried) == access_module.MOST_WAITING  # the others were not even compared


def test_who_comes_while_many_guess_is_not_told_that_the_password_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "PAUSE", 60)
    guard = Guard(inner, Access(Settings(tmp_path, password="correct horse battery")))
    answers: list[httpx.Response] = []

    async def post(guess: str, after: float) -> None:
        await asyncio.sleep(after)
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            sent = {"secret": guess}
            answers.append(await client.post("/login", data=sent, headers={"Origin": LOCAL}))

    async def crowd() -> None:
        guesses = [asyncio.create_task(post("wrong", 0)) for _ in range(access_module.MOST_WAITING)]
        await post("correct horse battery", 0.1)
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)

    asyncio.run(crowd())
    assert answers[0].status_code == 429
    assert "try again in a minute" in answers[0].text
    assert "not right" not in answers[0].text


def test_old_sessions_make_room(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "MOST_SESSIONS", 2)
    one, two, three = (together(lambda: access.enter(TOKEN))[0] for _ in range(3))
    assert access.owner(one) is None
    assert access.owner(two) != access.owner(three)


@pytest.mark.parametrize("path", ["//evil.example/", "/%5Cevil.example/", "/%2Fevil.example/"])
def test_the_way_in_leads_to_no_other_server(guard: Guard, path: str) -> None:
    answer = asked(guard, url=f"{LOCAL}{path}?token={TOKEN}")
    assert re.search(r'url=/(%5C)?evil.example/"', answer.text)
