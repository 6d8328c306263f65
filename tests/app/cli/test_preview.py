"""The picture of a running job: whole at any time, noisy beside clean, never in the way."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from synthetic import photons, smooth
from unnoise.app.cli.main import main
from unnoise.app.cli.preview import GAP, PreviewFile, picture
from unnoise.app.events import Preview
from unnoise.errors import InputError


def event(noisy: np.ndarray, clean: np.ndarray, **own: object) -> Preview:
    return Preview("a.tif", 1, 0.5, (0, 0), noisy, clean, **own)  # type: ignore[arg-type]


def test_both_halves_have_the_levels_of_the_noisy_piece() -> None:
    x = smooth((300, 280), mean=100, sd=10).astype(np.float32)
    shown = picture(event(x, x))
    assert shown.shape == (300, 2 * 280 + GAP, 3)
    np.testing.assert_array_equal(shown[:, :280], shown[:, 280 + GAP :])
    low, high = np.percentile(x, (1, 99.5))
    expected = np.clip((x - low) / (high - low), 0, 1) * 255
    assert np.abs(shown[:, :280, 0] - expected).max() <= 1
    dark = picture(event(x, x - 500))
    assert (dark[:, 280 + GAP :] == 0).all()


@pytest.mark.parametrize("channels", [2, 3, 9])
def test_channels_have_colours_and_photographs_their_own(channels: int) -> None:
    x = smooth((64, 64, channels), (9, 9, 0)).astype(np.float32)
    assert picture(event(x, x)).shape == (256, 512 + GAP, 3)
    if channels == 3:
        red = np.zeros_like(x)
        red[..., 0] = np.linspace(0, 1, 64)
        shown = picture(event(red, red, is_rgb=True))
        assert shown[:, :256, 0].max() == 255
        assert shown[:, :256, 1:].max() == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_is_no_picture_is_shown_all_the_same(value: float) -> None:
    x = np.full((40, 40), value, np.float32)
    shown = picture(event(x, x))
    assert shown.shape == (7 * 40, 2 * 7 * 40 + GAP, 3)
    x[:20] = np.random.default_rng(0).normal(size=(20, 40))
    assert picture(event(x, x)).std() > 0


def test_places_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    for place, why in (
        ("a.tif", "no PNG"),
        ("there.png", "exists; add --overwrite"),
        ("nowhere/a.png", "cannot be written"),
    ):
        with pytest.raises(InputError, match=why):
            PreviewFile(tmp_path / place)


def test_a_disk_that_is_full_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, x = PreviewFile(tmp_path / "a.png"), np.eye(64, dtype=np.float32)
    assert file.show(event(x, x)) == ""
    whole = (tmp_path / "a.png").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unnoise.images.formats.save", full)
    assert "No space left" in file.show(event(x, 2 * x))
    assert file.show(event(x, 2 * x)) == ""
    assert (tmp_path / "a.png").read_bytes() == whole


@pytest.mark.parametrize("command", ["denoise", "train"])
def test_a_run_draws_while_it_goes_on(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unnoise.app.preview.SHARE", 1e9)  # whatever it costs
    np.save("a.npy", photons((40, 48)))
    tiny = ("--method", "n2v", "--steps", "4", "--set", "net.filters=4", "--set", "net.depth=1")
    out = "b.npy" if command == "denoise" else "m"
    line = ["unnoise", command, "a.npy", "-o", out, *tiny, "--preview", "p.png", "--no-report"]
    monkeypatch.setattr(sys, "argv", [*line, "-q"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    with Pillow.open("p.png") as shown:
        assert shown.mode == "RGB"
        width, height = shown.size
    assert (height, width) == (40 * 6, 2 * 48 * 6 + GAP)


def test_a_training_that_goes_on_replaces_a_picture_only_when_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.png").write_bytes(b"a photograph")

    def told(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["unnoise", "train", "--resume", "gone", *options])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        return capsys.readouterr().err

    assert "p.png exists; add --overwrite" in told("--preview", "p.png")
    assert "no model folder gone" in told("--preview", "p.png", "--overwrite")
    assert "leave out the other training options" in told("--overwrite")
    assert Path("p.png").read_bytes() == b"a photograph"
