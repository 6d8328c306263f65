"""What must hold for the page as text: safety, size, repeatability, and the file."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.report.page import render, write
from unnoise.report.page_parts import Chart, HeatMap, Number, Page, Picture, Section, Series

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "--><img src=x onerror=alert(1)>",
    "\" onload=\"alert(1)' autofocus onfocus='alert(1)",
    "&lt;b&gt; &amp; \x00\x1b[31m \u202egpj.exe \ud800 \ufffe",
    "]]></style></title></pre><svg onload=alert(1)>",
    "{0} %s $x ${y} {{z}}",
    "'sha256-x' javascript:alert(1)",
]


class Elements(HTMLParser):
    """All elements with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute twice"
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def tags(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.found]


def full(text: str) -> Page:
    """A page in which every string is the given one."""
    rng = np.random.default_rng(0)
    noisy = rng.poisson(50, (24, 32)).astype(np.uint8)
    smooth = np.full((24, 32), 50.0)
    picture = Picture(text, noisy, smooth, smooth, smooth, smooth, 1.0, 2.0, (0.5, text))
    series = tuple(
        Series(text, (1, 2, 3), (1, 4, 9), (0, 3, 8), (2, 5, 10), style)
        for style in ("line", "points", "bars")
    )
    charts = (
        Chart(text, text, text, series, text),
        Chart(text, text, text, (), text, True, True),
        HeatMap(text, rng.normal(size=(5, 5)), text, text, text),
    )
    numbers = (Number(text, text, text, text),)
    section = Section(text, (picture,), numbers, charts, (text,), (text,))
    return Page(
        text,
        text,
        (section,) * 3,
        (text, text),
        ((text, text),),
        {text: text},
        3,
        text.replace("  ", " "),
        text,
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_change_no_element(text: str) -> None:
    tame, hostile = (Elements(render(full(t))) for t in ("a", text))
    different = {"span"}  # one for each word of the command
    assert [t for t in hostile.tags() if t[0] not in different] == [
        t for t in tame.tags() if t[0] not in different
    ]
    assert not hostile.comments
    if not re.search("[\x00-\x1f\u202e\ud800\ufffe]", text):
        assert sum(text in part for part in hostile.text) > 20


@pytest.mark.parametrize("text", HOSTILE)
def test_scripts_and_styles_hold_no_foreign_text(text: str) -> None:
    parts = [re.findall(r"<(script|style)>(.*?)</\1>", render(full(t)), re.S) for t in ("a", text)]
    assert parts[0] == parts[1]
    assert [name for name, _ in parts[0]] == ["style", "script"]
    render(full(text)).encode("utf-8")


def test_policy_allows_exactly_what_the_page_has() -> None:
    html = render(full("a"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name in ("style", "script"):
        content = re.search(rf"<{name}>(.*?)</{name}>", html, re.S)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    # Hashes do not cover attributes, so there must be none of them.
    for tag, attrs in Elements(html).found:
        assert "style" not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")], tag


def test_page_names_nothing_outside_itself() -> None:
    html = render(full("a"))
    assert "://" not in html
    assert "url(" not in html
    assert "@import" not in html
    for tag, attrs in Elements(html).found:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/", "#part")), (tag, value)


def test_every_control_has_a_name_and_ids_are_unique() -> None:
    found = Elements(render(full("a"))).found
    ids = [attrs["id"] for _, attrs in found if "id" in attrs]
    assert len(set(ids)) == len(ids)
    targets = {a["for"] for tag, a in found if tag == "label"}
    assert targets <= set(ids)
    assert all(a.get("alt") for tag, a in found if tag == "img")
    assert all(a.get("aria-label") for tag, a in found if tag == "svg")
    links = [str(a["href"])[1:] for tag, a in found if tag == "a"]
    assert len(links) == 3
    assert set(links) <= set(ids)


def test_equal_pages_give_equal_bytes() -> None:
    assert render(full("x")) == render(full("x"))


def test_empty_page() -> None:
    html = render(Page("", "", ()))
    assert "<table" not in html
    assert "Repeat this run" not in html
    assert 'class="warnings"' not in html


def test_columns_that_would_be_empty_are_left_out() -> None:
    section = Section("s", numbers=(Number("a", "1"), Number("b", "2", meaning="m")))
    cells = Elements(render(Page("t", "v", (section,)))).found
    assert len([tag for tag, _ in cells if tag == "td"]) == 4
    assert len([tag for tag, a in cells if a.get("scope") == "col"]) == 3


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((0.5, "micron"), ["0.5", "\u00b5m"]),
        ((2.0, "pixel"), ["2", "pixel"]),
        ((0.0, "pixel"), None),
        ((float("nan"), "um"), None),
        ((float("inf"), "um"), None),
        (None, None),
    ],
)
def test_only_a_usable_pixel_size_is_told(size: tuple[float, str], told: list[str] | None) -> None:
    picture = Picture("p", np.eye(8), pixel_size=size)
    html = render(Page("t", "v", (Section("s", (picture,)),)))
    found = re.search(r'data-pixel="(.*?)" data-unit="(.*?)"', html)
    assert (found and list(found.groups())) == told


def test_seed_zero_is_told() -> None:
    assert "<dt>Seed</dt><dd>0</dd>" in render(Page("t", "v", (), seed=0))


def test_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    page = full("a")
    target = tmp_path / "report.html"
    target.write_text("old")
    write(target, page)
    assert target.read_bytes() == render(page).encode()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    folder = tmp_path / "folder.html"
    folder.mkdir()
    for place in (folder, tmp_path / "missing" / "report.html"):
        with pytest.raises(InputError, match="cannot be written"):
            write(place, page)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "report.html"]


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(1000, 300, shape)


def test_a_large_picture_with_all_maps_stays_below_5_mb() -> None:
    """Worst case: no layer can be compressed."""
    n = 2048
    picture = Picture("big", noise((n, n)), *[noise((n, n)) for _ in range(4)])
    html = render(Page("big", "", (Section("big", (picture,)),)))
    assert 1e6 < len(html.encode()) < 5e6


def test_many_pictures_stay_bounded_and_the_rest_is_named() -> None:
    pictures = tuple(Picture(f"file {i}", noise((512, 512)), noise((512, 512))) for i in range(3))
    sections = tuple(Section(f"s{i}", pictures) for i in range(22))
    html = render(Page("many", "", sections))
    assert len(html.encode()) < 13e6
    assert html.count('<figure class="viewer"') == 60
    assert html.count("not shown") == 6
