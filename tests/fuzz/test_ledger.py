"""What was fuzzed is kept, counted, and not done again."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
from pathlib import Path

import pytest

from . import ledger, run, targets
from .ledger import Row
from .targets import TARGETS, Target

ROW = Row("axes", 10, 1.5, 0, "old", "2026-01-01")


def test_slices_of_one_code_are_one_row_and_those_of_another_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "ledger.tsv"
    assert ledger.rows(place) == []
    later = ROW._replace(code="new", date="2026-01-03")
    for part in (ROW, later, ROW._replace(target="camera", faults=1)):
        ledger.add(part, place)
    ledger.add(ROW._replace(executions=5, seconds=0.1, faults=1, date="2026-01-02"), place)
    assert ledger.rows(place) == [
        Row("axes", 15, 1.6, 1, "old", "2026-01-02"),
        later,
        ROW._replace(target="camera", faults=1),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.tsv"]


def test_a_million_executions_or_half_an_hour_are_enough() -> None:
    told = ledger.sums(
        [
            ROW._replace(executions=999_999),
            ROW._replace(target="camera", executions=999_999),
            ROW._replace(target="camera", executions=1, code="new"),
            ROW._replace(target="events", seconds=1800.0, faults=2),
        ]
    )
    assert {n for n, own in told.items() if ledger.is_enough(own)} == {"camera", "events"}
    lines = ledger.table(told).splitlines()
    assert lines[2] == "| camera | 1,000,000 | 0.05 | 0 | yes |"
    assert lines[3] == "| axes | 999,999 | 0.03 | 0 | no |"
    assert lines[4] == "| events | 10 | 30.00 | 2 | yes |"


def test_anew_only_the_present_code_counts() -> None:
    now = ROW._replace(executions=3, code=ledger.code_of("axes"))
    assert ledger.sums([ROW, now])["axes"]["executions"] == 13
    assert ledger.sums([ROW, now], anew=True)["axes"]["executions"] == 3
    assert ledger.sums([ROW], anew=True) == {}


def test_readers_of_images_are_the_same_code_whatever_changes_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("errors.py", "api.py", "images/a.py"):
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(ledger, "SOURCE", tmp_path)
    for name, changes in (("api.py", "request"), ("images/a.py", "both"), ("errors.py", "both")):
        before = {one: ledger.code_of(one) for one in ("request", "image.tif")}
        (tmp_path / name).write_text(name)
        changed = {one for one in before if ledger.code_of(one) != before[one]}
        assert changed == ({"request", "image.tif"} if changes == "both" else {changes}), name


def test_the_ledger_of_the_repository_is_of_targets_that_there_are() -> None:
    found = ledger.rows()
    assert len({(row.target, row.code) for row in found}) == len(found) > 0
    assert {row.target for row in found} <= {*TARGETS, "image.nd2"}  # a real file, if it is there
    assert all(row.executions >= 0 and row.seconds > 0 for row in found)


def test_a_run_goes_on_where_the_last_one_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(ledger, "PLACE", tmp_path / "ledger.tsv")
    monkeypatch.setattr(run, "_names", lambda: ["axes", "camera", "events", "request"])
    for row in (
        ROW._replace(executions=600_000, seconds=9.0),
        ROW._replace(target="camera", executions=2_000_000),
        ROW._replace(target="events", seconds=7.0),
    ):
        ledger.add(row)

    def slice_of(name: str, options: object) -> run.Slice:
        asked.append((name, options.runs))  # type: ignore[attr-defined]
        if name == "events":
            return run.Slice(8, 1.0, ["exit code 77 by x"], is_broken=True)
        return run.Slice(300_000, 4.0, [], is_broken=False)

    monkeypatch.setattr(run, "slice_of", slice_of)
    monkeypatch.setattr("sys.argv", ["run.py", "--folder", str(tmp_path / "work")])
    assert run.main() == 1
    assert asked == [
        ("request", 1_000_000), ("events", 999_990), ("axes", 400_000),  # least first
        ("request", 700_000), ("axes", 100_000),  # what broke is left
        ("request", 400_000), ("request", 100_000),
    ]  # fmt: skip
    assert "| events | 18 | 0.13 | 1 | no |" in capsys.readouterr().out

    asked.clear()
    monkeypatch.setattr("sys.argv", ["run.py", "camera", "--folder", str(tmp_path / "work")])
    assert (run.main(), asked) == (0, [])
    monkeypatch.setattr("sys.argv", ["run.py", "camera", "--anew", "--folder", str(tmp_path)])
    assert (run.main(), asked) == (0, [("camera", 1_000_000)])
    monkeypatch.setattr("sys.argv", ["run.py", "--table"])
    assert run.main() == 0
    assert "| camera | 2,300,000 |" in capsys.readouterr().out
    assert len(asked) == 1


@pytest.mark.parametrize(("may_end", "is_beneath"), [(0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("last", [0, 77])
def test_what_a_library_ends_is_kept_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_end: bool, is_beneath: bool, last: int
) -> None:
    log, goes_on = tmp_path / "x.log", may_end and is_beneath

    def child(name: str, options: object, shown: run.Shown, runs: int, seconds: float) -> None:
        for i in range(3):
            shown.show(b"%d of %d" % (i, runs))
        place = "h5py/attrs.py" if is_beneath else "src/unnoise/images/formats/hdf5.py"
        log.write_text(f'Current thread (most recent call first):\n  File "/x/{place}", line 1')
        if runs > 94:  # as the timer of `fuzz` does, or libFuzzer for memory
            os.kill(os.getpid(), signal.SIGPROF) if runs > 97 else os._exit(run.NO_MEMORY)
        os._exit(last)

    monkeypatch.setattr(run, "_child", child)
    monkeypatch.setattr(run, "_targets", lambda: targets)
    monkeypatch.setitem(TARGETS, "x", Target(lambda data: None, list, may_end=bool(may_end)))
    part = run.slice_of("x", argparse.Namespace(runs=100, seconds=60, folder=tmp_path))
    wanted = {b"2 of 100": "5 s of the processor"}
    if goes_on:
        wanted |= {b"2 of 97": "3000 MB"} | ({b"2 of 94": "exit code 77"} if last else {})
    left = [tmp_path / f"x-fault-{hashlib.sha1(data).hexdigest()}" for data in wanted]
    assert part.faults == [f"{why} by {at}" for why, at in zip(wanted.values(), left, strict=True)]
    assert [place.read_bytes() for place in left] == list(wanted)
    assert part.executions == (9 if goes_on else 3)
    assert part.is_broken == (not goes_on or last > 0)
