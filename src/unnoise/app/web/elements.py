"""The few elements of the page: plain HTML, whose texts NiceGUI escapes.

Native controls work by keyboard and in every theme; those of Quasar, which NiceGUI brings, fall
short of the contrast that accessibility asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

Handler = Callable[..., Any]
VALUE = "(event) => emit(event.target.value)"
CHECKED = "(event) => emit(event.target.checked)"


def tag(name: str, classes: str = "", /, **attributes: object) -> Element:
    """An HTML element; the names of attributes are written with underscores."""
    return _dressed(Element(name), classes, attributes)


def text(name: str, content: str, classes: str = "", /, **attributes: object) -> TextElement:
    """An HTML element with a text."""
    element = TextElement(tag=name, text=_sent(content))
    _dressed(element, classes, attributes)
    return element


def _dressed(element: Element, classes: str, attributes: dict[str, object]) -> Element:
    """With its attributes, set one by one: NiceGUI would parse a string of them."""
    if classes:
        element.classes(classes)
    for key, value in attributes.items():
        element.props[key.strip("_").replace("_", "-")] = _sent(value)
    return element


def _sent(value: Any) -> Any:
    """As it can be sent: half a character, as in odd names of files, would fail the whole page."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def link(content: str, place: str, classes: str = "", **attributes: object) -> TextElement:
    """A link within the page."""
    return text("a", content, classes, href=place, **attributes)


def place(path: str, *pairs: tuple[str, str]) -> str:
    """An address with a query."""
    return f"{path}?{urlencode(pairs)}" if pairs else path


def button(content: str, pressed: Handler, classes: str = "", **attributes: object) -> TextElement:
    """A button."""
    found = text("button", content, classes, type="button", **attributes)
    found.on("click", pressed, args=[])
    return found


def field(
    label: str,
    value: str,
    changed: Callable[[str], Any],
    *,
    hint: str = "",
    **attributes: object,
) -> Element:
    """A line of text with its label."""
    with tag("div", "field"):
        with tag("label"):
            text("span", label, "label")
            found = tag("input", type="text", value=value, autocomplete="off", **attributes)
        if hint:
            found.props["aria-describedby"] = f"hint-{found.id}"
            text("p", hint, "hint", id=f"hint-{found.id}")
    found.on("change", lambda event: changed(str(event.args)), js_handler=VALUE)
    return found


def choice(
    label: str,
    options: Sequence[tuple[str, str]],
    value: str,
    changed: Callable[[str], Any],
    *,
    hint: str = "",
) -> Element:
    """A list to choose from, as pairs of value and text."""
    with tag("div", "field"):
        with tag("label"):
            text("span", label, "label")
            found = tag("select")
            with found:
                for key, content in options:
                    option = text("option", content, value=key)
                    if key == value:
                        option.props["selected"] = True
        if hint:
            found.props["aria-describedby"] = f"hint-{found.id}"
            text("p", hint, "hint", id=f"hint-{found.id}")
    found.on("change", lambda event: changed(str(event.args)), js_handler=VALUE)
    return found


def radios(
    legend: str,
    options: Sequence[tuple[str, str, str]],
    value: str,
    changed: Callable[[str], Any],
) -> None:
    """A group of which one is chosen, as triples of value, name and explanation."""
    group = tag("fieldset", "radios")
    with group:
        text("legend", legend)
        for key, name, about in options:
            with tag("label", "radio"):
                one = tag("input", type="radio", name=f"radio-{group.id}", value=key)
                if key == value:
                    one.props["checked"] = True
                one.on("change", lambda event: changed(str(event.args)), js_handler=VALUE)
                with tag("span"):
                    text("strong", name)
                    text("span", about, "about")


def check(label: str, value: bool, changed: Callable[[bool], Any], *, hint: str = "") -> Element:
    """A box to tick."""
    with tag("div", "field"):
        with tag("label", "check"):
            found = tag("input", type="checkbox")
            if value:
                found.props["checked"] = True
            text("span", label)
        if hint:
            found.props["aria-describedby"] = f"hint-{found.id}"
            text("p", hint, "hint", id=f"hint-{found.id}")
    found.on("change", lambda event: changed(bool(event.args)), js_handler=CHECKED)
    return found


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values."""
    with tag("dl"):
        for name, value in pairs:
            with tag("div"):
                text("dt", name)
                text("dd", value)


def command(line: str) -> TextElement:
    """A command line to copy."""
    with tag("div", "command"):
        found = text("pre", line, tabindex=0, role="region", aria_label="Command line")
        text("button", "Copy", "copy", type="button")
    return found


def notice(content: str, kind: str = "problem") -> None:
    """A sentence that should not be overlooked."""
    with tag("div", f"notice {kind}", role="alert" if kind == "problem" else "note"):
        text("p", content)


@contextlib.contextmanager
def section(title: str, classes: str = "") -> Iterator[Element]:
    """A part of the page with its heading."""
    found = tag("section", classes)
    with found:
        heading = text("h2", title)
        heading.props["id"] = f"h-{heading.id}"
        found.props["aria-labelledby"] = f"h-{heading.id}"
        yield found


@contextlib.contextmanager
def page(title: str, kind: str = "") -> Iterator[None]:
    """What is around every page: where one is, the theme, the main part with its heading."""
    ui.page_title(f"{title} - unnoise")
    link("Skip to the content", "#main", "skip")
    with tag("header", "top"), tag("nav", aria_label="Pages"):
        link("unnoise", "/", "home")
        link("Images and jobs", "/")
        text("button", "Theme", "theme", type="button", title="Light, dark, or as the system")
    with tag("div", "content", id="main", tabindex=-1):  # Quasar has the element `main` around it
        if kind:
            text("p", kind, "kind")
        text("h1", title)
        yield
