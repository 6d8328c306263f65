"""The viewer in a browser: what is seen after every key, drag and click, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .viewer_screen import Seen, middle

pytestmark = pytest.mark.gui
PAIR = "?clean=clean&spread=spread"


def test_all_of_an_image_is_shown_at_first_in_its_percentiles(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    found = seen.pixels().astype(float)
    height, width, _ = found.shape
    zoom = seen.percent() / 100
    assert zoom == pytest.approx(min(height / 600, width / 700), rel=0.01)
    inner = found[5:-5, int(width / 2 - 350 * zoom) + 5 : int(width / 2 + 350 * zoom) - 5, 0]
    assert inner[0, 0] < 10
    assert inner[-1, -1] > 245
    assert (np.diff(inner[::40, ::40], axis=1) >= 0).all()
    assert (found[:, :20] == found[0, 0]).all()  # nothing beside the image


def test_keys_zoom_and_move(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    assert seen.place() == (300, 350)
    fit = seen.percent()
    seen.stage.focus()
    seen.press("+")
    assert seen.percent() == pytest.approx(1.5 * fit, rel=0.01)
    assert seen.place() == (300, 350)
    seen.press("1")
    assert seen.percent() == 100
    seen.press("+", "+")
    seen.press("ArrowRight", "ArrowDown")
    assert seen.place() == (300 + int(60 / 2.25), 350 + int(60 / 2.25))
    seen.press("Shift+ArrowLeft")
    assert seen.place()[1] < 350
    seen.press("0")
    assert seen.percent() == fit
    assert seen.place() == (300, 350)


def test_pixels_are_where_they_should_be_when_zoomed(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    seen.stage.focus()
    seen.press("1", "+", "+", "+", "+", "+", "+")
    zoom = seen.percent() / 100
    assert zoom == pytest.approx(1.5**6, rel=0.01)
    seen.press("ArrowRight", "ArrowRight")
    y, x = seen.place()
    page.get_by_text("Brightness").click()
    page.get_by_label("Black value").fill("3000")
    page.get_by_label("White value").fill("3040")
    page.keyboard.press("Enter")
    seen.settle()
    row = seen.pixels()[seen.pixels().shape[0] // 2, 640:, 0]
    edges = np.flatnonzero(np.diff(row.astype(int)))
    assert len(edges) > 5
    assert np.abs(np.diff(edges) - zoom).max() <= 1  # squares, not blurred
    assert (y, x) == (300, int(350 + 120 / zoom))


def test_the_wheel_zooms_where_the_pointer_is_once_the_image_was_clicked(
    page: Any, viewers: str
) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    page.get_by_role("button", name="One screen pixel").click()
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    page.get_by_text("Keys in the image").click()  # the focus is elsewhere
    fit, before = seen.percent(), seen.place(100, 50)
    page.mouse.wheel(0, -200)
    seen.settle()
    assert seen.percent() == fit
    page.mouse.down()
    page.mouse.up()
    page.mouse.wheel(0, -200)
    seen.settle()
    assert seen.percent() > 1.2 * fit
    after = seen.place(100, 50)
    assert np.abs(np.subtract(before, after)).max() <= 1


def test_a_drag_moves_the_image(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    seen.stage.focus()
    seen.press("1", "+", "+")
    zoom = seen.percent() / 100
    y, x = seen.place()
    page.mouse.down()
    page.mouse.move(*(n + d for n, d in zip(middle(seen), (-90, 45), strict=True)), steps=4)
    page.mouse.up()
    seen.settle()
    assert np.abs(np.subtract(seen.place(), (y - 45 / zoom, x + 90 / zoom))).max() <= 1.5


def test_two_fingers_zoom(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    fit, (x, y) = seen.percent(), middle(seen)
    devtools = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 80), ("touchMove", 120), ("touchEnd", 0)):
        fingers = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        points = fingers if apart else []
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    seen.settle()
    assert seen.percent() == pytest.approx(3 * fit, rel=0.03)


def test_a_server_that_comes_back_is_asked_again(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=noisy")
    page.route("**/tile/**", lambda route: route.fulfill(status=503, json={}))
    before = seen.pixels()
    seen.stage.focus()
    page.keyboard.press("PageUp")
    page.wait_for_function("() => document.querySelector('.message').textContent.includes('503')")
    assert (seen.pixels() == before).all()  # rather the slice before than nothing
    page.unroute("**/tile/**")
    page.wait_for_function("() => document.querySelector('.message').textContent === ''")
    seen.settle()
    assert seen.pixels().mean() > before.mean() + 10


def test_slices_by_slider_and_keys(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=noisy")
    seen.place()
    assert "noisy 3000, 2999" in seen.readout()
    seen.stage.focus()
    seen.press("PageUp", "PageUp")
    assert page.locator(".planes output").text_content() == "5 of 5"
    assert page.locator(".planes input").input_value() == "5"
    seen.place()
    assert "noisy 5000, 4999" in seen.readout()
    bright = seen.pixels().mean()
    page.locator(".planes input").focus()
    seen.press("Home")
    assert page.locator(".planes output").text_content() == "1 of 5"
    assert seen.pixels().mean() < 0.8 * bright


def test_whole_numbers_are_told_whole(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=counts")
    seen.place()
    assert "123456" in seen.readout()


def test_channels_are_hidden_and_take_other_colours(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=noisy")
    assert seen.pixels()[:, 640].max(axis=0).min() > 100  # green and magenta
    page.get_by_role("checkbox", name="GFP").uncheck()
    seen.settle()
    middle_column = seen.pixels()[20:-20, 640]
    assert middle_column[:, 1].max() > 100
    assert middle_column[:, [0, 2]].max() == 0
    page.get_by_label("Colour of DAPI").fill("#ff0000")
    seen.settle()
    middle_column = seen.pixels()[20:-20, 640]
    assert middle_column[:, 0].max() > 100
    assert middle_column[:, 1:].max() == 0
    page.get_by_role("checkbox", name="DAPI").uncheck()
    seen.settle()
    assert seen.pixels()[20:-20, 640].max() == 0


def test_brightness_by_numbers_and_percentiles(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=grey")
    page.get_by_text("Brightness").click()
    page.get_by_label("White value").fill("2500")
    page.keyboard.press("Enter")
    page.get_by_label("Black value").fill("2000")
    page.keyboard.press("Enter")
    seen.settle()
    found = seen.pixels()
    assert found[found.shape[0] // 2, 640, 0] == 255  # 3000
    page.get_by_label("Black value").fill("9000")  # above white: refused
    page.keyboard.press("Enter")
    assert page.get_by_label("Black value").input_value() == "2000"
    page.get_by_label("Black at percentile").fill("25")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('[data-limit=low]').value > 2100")
    seen.settle()
    share = (seen.pixels()[20:-20, 320:960, 0] == 0).mean()
    assert 0.1 < share < 0.4


def test_the_divider_compares_by_drag_and_keys(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, PAIR)
    slider = page.get_by_role("slider", name="Where the noisy image ends")
    assert slider.get_attribute("aria-valuenow") == "50"

    def values(dx: float) -> str:
        seen.place(dx)
        return seen.readout()

    assert "noisy 3000" in values(0)
    assert "clean 3500" in values(0)
    line = seen.pixels()[30].astype(float)
    left, right = line[600:636].mean(), line[644:680].mean()
    assert right > left + 10  # the clean one is brighter
    slider.focus()
    seen.press("ArrowRight", "ArrowRight", "ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "56"
    line = seen.pixels()[30].astype(float)
    assert abs(line[644:680].mean() - left) < 10
    seen.press("Home")
    assert slider.get_attribute("aria-valuenow") == "0"
    seen.press("End")
    assert slider.get_attribute("aria-valuenow") == "100"
    seen.press("PageDown")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(*middle(seen), steps=5)
    page.mouse.up()
    assert abs(int(slider.get_attribute("aria-valuenow")) - 50) <= 1


def test_modes_show_one_image_the_residual_and_the_uncertainty(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, PAIR)
    names = [b.text_content() for b in page.locator(".modes button").all()]
    assert names == ["Compare", "Noisy", "Clean", "Residual", "Uncertainty"]
    seen.mode("Noisy")
    noisy = seen.pixels()[30, 640].astype(int).sum()
    assert page.locator(".divider").is_hidden()
    seen.mode("Clean")
    assert seen.pixels()[30, 640].astype(int).sum() > noisy
    seen.mode("Residual")
    assert "blue below zero" in page.locator(".viewer .message").text_content()
    red, _, blue = seen.pixels()[30, 640].astype(int)
    assert blue > red + 50  # noisy minus clean is -500 everywhere
    seen.mode("Uncertainty")
    assert "Standard deviation" in page.locator(".viewer .message").text_content()
    found = seen.pixels()[30, 400:900].reshape(-1, 3).astype(int)
    assert found[-1].sum() > found[0].sum()
    pressed = page.locator(".modes button[aria-pressed=true]")
    assert [b.text_content() for b in pressed.all()] == ["Uncertainty"]


def test_a_result_of_another_size_is_not_compared(page: Any, viewers: str) -> None:
    Seen(page, viewers, "?noisy=grey&clean=other")
    assert page.locator(".modes button").count() == 0
    assert "another size" in page.locator(".viewer .message").text_content()


@pytest.mark.parametrize("gone", ["clean", "spread"])
def test_an_image_is_shown_though_what_is_beside_it_cannot_be(
    page: Any, viewers: str, gone: str
) -> None:
    answer = {"status": 503, "json": {"detail": "it is gone"}}
    page.route(f"**/tiles/{gone}", lambda route: route.fulfill(**answer))
    seen = Seen(page, viewers, PAIR)
    left = {"clean": ["Noisy", "Uncertainty"], "spread": ["Compare", "Noisy", "Clean", "Residual"]}
    modes = page.locator(".modes button").all()
    assert [button.text_content() for button in modes] == left[gone]
    assert "it is gone" in page.locator(".viewer .message").text_content()
    seen.place()
    assert "noisy" in seen.readout()


def test_the_scale_bar_is_as_long_as_it_says(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers)
    for keys in ((), ("1",), ("+", "+", "+")):
        seen.stage.focus()
        seen.press(*keys)
        length, unit = page.locator(".viewer .bar b").text_content().split()
        wide = page.locator(".viewer .bar i").bounding_box()["width"]
        assert unit == "µm"
        assert wide / (seen.percent() / 100) * 0.5 == pytest.approx(float(length), rel=0.02)
        assert 40 < wide <= 200
    Seen(page, viewers, "?noisy=grey")
    assert page.locator(".viewer .bar").is_hidden()


def test_a_result_that_comes_later_is_compared(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=noisy")
    assert page.locator(".divider").is_hidden()
    page.get_by_role("button", name="Result").click()
    page.wait_for_selector(".viewer .divider:visible")
    seen.settle()
    assert "Clean" in page.locator(".viewer .corner.clean").text_content()


def test_a_large_image_is_coarse_first_and_exact_later(page: Any, viewers: str) -> None:
    seen = Seen(page, viewers, "?noisy=slow")
    message = page.locator(".viewer .message")
    assert "An overview is being made" in message.text_content()
    coarse = seen.pixels()[::50, 400:880:40, 0].astype(int)
    assert (np.diff(coarse, axis=1) >= 0).all()
    page.wait_for_function(
        "() => document.querySelector('.viewer .message').textContent === ''", timeout=60_000
    )
    seen.settle()
    line = seen.pixels()[300, 400:880, 0].astype(int)
    assert np.abs(np.diff(line)).max() <= 3  # no steps any longer


def test_everything_has_a_name_and_is_reached_by_tab(page: Any, viewers: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme, width in (("light", 1280), ("dark", 400)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        Seen(page, viewers, PAIR)
        found = axe.Axe().run(page, context=".viewer")
        assert [v["id"] for v in found.response["violations"]] == []
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => { const a = document.activeElement;"
                " return a.className || a.dataset.mode || a.type || a.tagName }"
            )
        )
    assert {"stage", "divider", "compare", "residual", "range", "checkbox", "color"} <= reached
