"""A load that is stopped tells what it saw, and its server ends with it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from load.growth import Size
from load.ledger import Ledger, arguments, run_once
from load.series import LOOKS, Series, warm
from load.server import held

ATTEND = (
    "import sys; from pathlib import Path; from load.server import attend; attend(Path('held'))"
)


def test_a_series_is_on_the_disk_as_it_is_seen(tmp_path: Path) -> None:
    seen = Series(tmp_path / "series.jsonl")

    async def look(seconds: float) -> None:
        watching = asyncio.create_task(seen.watch(psutil.Process(), 0.01))
        await asyncio.sleep(seconds)
        watching.cancel()

    asyncio.run(look(0.05))
    assert Series.read(seen.path) == seen
    with seen.path.open("a") as file:
        file.write('{"at": 1, "mem')
    assert Series.read(seen.path) == seen
    few = Series.read(tmp_path / "nothing")
    assert few.told()[0]["told"] == "0 looks at its size, 0 rests"


def test_growth_is_a_loss(tmp_path: Path) -> None:
    line = {
        "memory": 0,
        "own": 0,
        "used": 0,
        "threads": 5,
        "files": 9,
        "seconds": (1, 2),
        "rest": 0,
    }
    looks = [line | {"at": n / 720, "memory": 10**9 + n * 10**5} for n in range(240)]
    for number in range(0, 240, 5):
        looks[number]["memory"] += 10**9 * (number % 3)  # a large image is looked at
    for number in range(9, 240, 10):
        own = looks[number]["memory"] - 9 * 10**8
        looks[number] |= {"rest": number // 10 + 1, "own": own, "used": number * 10**4}
    told = "\n".join(map(json.dumps, looks))
    (tmp_path / "series.jsonl").write_text(told)
    about, losses = Series.read(tmp_path / "series.jsonl").told()
    assert losses == [
        "memory grows by 72.000 (72.000 to 72.000) MB an hour",
        "memory in use grows by 7.200 (7.200 to 7.200) MB an hour",
    ]
    assert "in 16 rests over 12 minutes at 116.4 MB" in about["told"]


def test_a_rest_is_looked_at_some_times_and_the_middle_counts(tmp_path: Path) -> None:
    seen = Series(tmp_path / "series.jsonl")

    async def look() -> None:
        for _ in range(2):
            await seen.rest(psutil.Process(), 7)

    asyncio.run(look())
    assert {one.used for one in seen.sizes} == {7}
    assert seen.rests == [1] * LOOKS + [2] * LOOKS
    seen.sizes[-3:] = [Size(9, 1, 1, size) for size in (1, 2, 3)]
    seen.sizes[-5:-3] = [Size(9, 1, 1, size) for size in (5, 4)]
    assert seen.rested()[1][-1] == Size(9, 1, 1, 3)


def test_a_third_of_the_time_is_for_warming_up_and_half_an_hour_at_most() -> None:
    assert warm([]) == 0
    assert warm([1.0, 1.3]) == pytest.approx(1.1)
    assert warm([1.0, 2.0, 4.0]) == pytest.approx(1.5)


def test_a_load_that_is_stopped_counts_for_nothing(tmp_path: Path) -> None:
    ledger, result = Ledger(tmp_path), {"amount": "3 files", "losses": [], "told": "flat"}
    options = arguments("").parse_args(["--folder", str(tmp_path)])

    def killed() -> dict:
        raise SystemExit  # nothing more is written

    def stopped() -> dict:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            run_once("batch", options, "load.batch", killed)
        assert "| batch, stopped before its end | 0 |" in ledger.table()
        assert run_once("batch", options, "load.batch", stopped) == 1
        assert not ledger.has("load.batch")
        assert run_once("batch", options, "load.batch", lambda: result) == 0
        assert ledger.has("load.batch")
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe is awaited with select")
def test_a_server_ends_with_its_parent(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", ATTEND],
        stdin=subprocess.PIPE,
        cwd=tmp_path,
        env={"PYTHONPATH": tests},
    ) as process:
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == -signal.SIGTERM


def test_what_a_process_holds() -> None:
    found = held(objects=True)
    assert found["blocks"] > 1000
    assert found["objects"]["builtins.function"] > 100
