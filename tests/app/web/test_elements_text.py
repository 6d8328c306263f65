"""Whatever a text holds, it can be sent."""

from __future__ import annotations

import orjson
import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from unnoise.app.web import elements


@pytest.mark.parametrize("odd", ["a\ud800.tif", "b\udcff.tif", "µ\n<b>"])
def test_half_a_character_does_not_fail_the_page(odd: str) -> None:
    with Client(ui.page("/odd")):
        element = elements.text("p", odd, title=odd)
    sent = orjson.loads(orjson.dumps(element._to_dict()))
    wanted = odd.encode("utf-8", "replace").decode()
    assert sent["text"] == wanted
    assert sent["props"]["title"] == wanted
