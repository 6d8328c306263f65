"""Laws of the history: what was logged is in the table, the picture is whole or not there."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image as Picture

from unnoise.errors import InputError
from unnoise.training import history

Records = list[dict[str, Any]]


def records(n: int = 20, drop: float = 2.0) -> Records:
    rng = np.random.default_rng(0)
    rows: Records = []
    for i in range(1, n + 1):
        loss = 0.3 * (1 + drop * math.exp(-i / 3)) + 0.004 * float(rng.normal())
        held_out = loss + 0.01 + 0.0008 * max(i - 12, 0)
        row = {"step": 50 * i, "seconds": 7.5 * i, "loss": loss, "held_out": held_out}
        rows.append(row | {"held_out_low": held_out - 0.01, "held_out_high": held_out + 0.01})
    return rows


def model_folder(place: Path, rows: Records) -> Path:
    place.mkdir()
    (place / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [*records(3), {"step": 200, "psnr": 31.5, "loss": math.nan}]
    read = history.read(model_folder(tmp_path / "model", rows))
    assert str(read) == str(rows)  # nan is not equal to itself


@pytest.mark.parametrize("end", ['{"step": 150, "lo', "\x00\x00\x00", "17", "\n\n"])
def test_a_truncated_last_line_is_left_out(tmp_path: Path, end: str) -> None:
    folder = model_folder(tmp_path / "model", records(2))
    with (folder / "log.jsonl").open("a") as log:
        log.write(end)
    assert history.read(folder) == records(2)


def test_errors_of_reading_teach(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no log.jsonl; give the folder of a model"):
        history.read(tmp_path)
    log = tmp_path / "log.jsonl"
    for content in ("", "\n", '{"step": '):
        log.write_text(content)
        with pytest.raises(InputError, match="no record yet"):
            history.read(tmp_path)
    log.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(InputError, match=r"line 2 of .* is damaged .*restore"):
        history.read(tmp_path)
    log.unlink()
    log.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        history.read(tmp_path)


def test_the_table_holds_every_value_under_its_name() -> None:
    rows = [{"step": 1, "loss": 0.1}, {"step": 2, "a, b": 3.5, "loss": 1 / 3}, {"step": 3}]
    table = list(csv.reader(io.StringIO(history.to_csv(rows))))
    assert table == [
        ["step", "loss", "a, b"],
        ["1", "0.1", ""],
        ["2", repr(1 / 3), "3.5"],
        ["3", "", ""],
    ]


@pytest.mark.parametrize(
    "rows",
    [
        records(),
        records(drop=80.0),
        records(1),
        [{"step": 50, "seconds": 3.0, "loss": 0.5, "held_out": 0.6}],
        [{"step": 50, "loss": 0.5}, {"step": 100, "loss": 0.4, "held_out": 0.5}],
        [{"step": 50, "loss": -3.0, "held_out": 100.0}, {"step": 99, "held_out": math.inf}],
        [{"step": 50, "held_out": 0.0}, {"step": 100, "held_out": 0.0}],
        [{"step": 50, "loss": math.nan, "held_out": math.nan}],
        [{"step": 50}],
    ],
)
def test_every_history_can_be_drawn(tmp_path: Path, rows: Records) -> None:
    history.plot(rows, tmp_path / "a.png", title="model")
    with Picture.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("title", ["$x_", "a" * 300, "测试 \N{TEST TUBE}", "%s {} \\frac"])
def test_any_title_can_be_drawn(tmp_path: Path, title: str) -> None:
    history.plot(records(3), tmp_path / "a.png", title=title)
    with Picture.open(tmp_path / "a.png") as picture:
        assert picture.size == (1024, 640)


def test_the_scale_is_logarithmic_where_losses_differ_much() -> None:
    flat, steep = (history._figure(records(drop=d), "").axes[0] for d in (2.0, 80.0))
    assert flat.get_yscale() == "linear"
    assert steep.get_yscale() == "log"


def curves(rows: Records) -> dict[str, Line2D]:
    """The lines of the picture by their labels."""
    return {str(line.get_label()): line for line in history._figure(rows, "").axes[0].get_lines()}


def test_the_ring_is_the_last_validation_whose_weights_were_kept() -> None:
    """Not the lowest: later weights are kept as long as they are not significantly worse."""
    rows = [row | {"kept": i in (0, 3, 14)} for i, row in enumerate(records())]
    assert rows[14]["held_out"] > min(row["held_out"] for row in rows)
    (label,) = (label for label in curves(rows) if "kept" in label)
    assert label == f"kept: {rows[14]['held_out']:.4g} at step 750"
    ring = curves(rows)[label]
    assert ring.get_marker() == "o"
    assert list(ring.get_xdata()) == [750]
    assert list(ring.get_ydata()) == [rows[14]["held_out"]]


def test_logs_that_do_not_say_what_was_kept_have_no_ring() -> None:
    assert set(curves(records())) == {"training", "held out"}
    assert set(curves([row | {"kept": False} for row in records()])) == {"training", "held out"}
    broken = [row | {"kept": True, "held_out": math.nan} for row in records()]
    assert set(curves(broken)) == {"training"}


def test_stages_are_curves_of_their_own() -> None:
    rows: Records = [
        row | {"stage": "scratch" if i < 8 else "b"} for i, row in enumerate(records())
    ]
    found = curves(rows)
    names = ["training, scratch", "held out, scratch", "training, b", "held out, b"]
    assert list(found) == names
    for label, part in zip(names, (rows[:8], rows[:8], rows[8:], rows[8:]), strict=True):
        key = "held_out" if label.startswith("held") else "loss"
        assert list(found[label].get_xdata()) == [row["step"] for row in part]
        assert list(found[label].get_ydata()) == [row[key] for row in part]
    assert len({str(found[name].get_color()) for name in names}) == 4
    axes = history._figure(rows, "").axes[0]
    assert [str(band.get_label()) for band in axes.collections] == [
        "95 % interval, scratch",
        "95 % interval, b",
    ]


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml")]
)
def test_the_ending_says_the_format(tmp_path: Path, suffix: str, start: bytes) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        history.plot(records(4), path)
    assert paths[0].read_bytes().startswith(start)
    if suffix != ".svg":  # matplotlib draws the ids of an svg at random
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_errors_of_drawing_teach_and_leave_the_old_picture(tmp_path: Path) -> None:
    old = tmp_path / "a.png"
    old.write_bytes(b"old")
    with pytest.raises(InputError, match="no record"):
        history.plot([], old)
    with pytest.raises(InputError, match=r"a.jpg is no picture .* \.png"):
        history.plot(records(3), tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"cannot be written: .*choose another place with -o"):
        history.plot(records(3), tmp_path / "nowhere" / "a.png")
    assert old.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_table_and_picture_go_to_the_folder_or_beside_each_other(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", records(5))
    table, picture = history.write(folder)
    assert (table, picture) == (folder / "history.csv", folder / "history.png")
    assert table.read_text() == history.to_csv(records(5))
    table, picture = history.write(folder, tmp_path / "figure.pdf")
    assert (table, picture) == (tmp_path / "figure.csv", tmp_path / "figure.pdf")
    names = {path.name for path in tmp_path.iterdir()} | {path.name for path in folder.iterdir()}
    history_files = {"history.csv", "history.png", "figure.csv", "figure.pdf"}
    assert names == {"model", "log.jsonl", *history_files}


def test_pictures_and_tables_of_others_are_kept(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", records(5))
    for out, there in (("h.png", "h.png"), ("t.svg", "t.csv")):
        (tmp_path / there).write_text("mine")
        with pytest.raises(InputError, match=f"{there} exists; add --overwrite"):
            history.write(folder, tmp_path / out)
        assert (tmp_path / there).read_text() == "mine"
        history.write(folder, tmp_path / out, overwrite=True)
        assert (tmp_path / there).read_text("latin-1") != "mine"
    assert not (tmp_path / "h.csv").read_text().startswith("mine")
    for out in (None, folder / "history.png"):  # its own are replaced
        history.write(folder)
        history.write(folder, out)


def test_durations_read_well() -> None:
    seconds = [0.4, 59, 61, 3600, 7500]
    expected = ["0 s", "59 s", "1 min", "60 min", "2 h 5 min"]
    assert [history._duration(s) for s in seconds] == expected


def test_importing_costs_neither_matplotlib_nor_torch() -> None:
    code = (
        "import sys, unnoise.training.history as h; h.to_csv([{'step': 1}]); "
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys, unnoise.training.history as h; h.plot([{'step': 1, 'loss': 1}], sys.argv[1]); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
