"""What a process holds of Python's memory is told by line, and growth of it is a loss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from load import traced

GROWS = """
import sys, tracemalloc
from pathlib import Path
from load import traced

tracemalloc.start()
kept = []
for number in range(30):
    kept.append(bytearray(100_000))
    bytearray(300_000)
    traced.write(Path("lines"), 10**9)
"""


def looks(*sums: int) -> str:
    """Rests a minute apart, at which two lines hold so many bytes; the second always as many."""
    found = [
        {"at": n * 60, "lines": {"a.py:1": size, "b.py:2": 5000}, "rest": 10**8}
        for n, size in enumerate(sums)
    ]
    return "\n".join(map(json.dumps, found))


def test_a_line_that_holds_ever_more_is_named(tmp_path: Path) -> None:
    path = tmp_path / "held.lines"
    path.write_text(looks(*range(10**6, 31 * 10**6, 10**6)))
    text, losses = traced.told(path)
    assert losses == ["what Python holds grows by 60.000 (60.000 to 60.000) MB an hour"]
    assert text == (
        "what Python holds: 60.000 (60.000 to 60.000) MB an hour; what C holds: 0.000 (0.000 to "
        "0.000) MB an hour in 20 rests over 19 minutes at 30.0 MB; a.py:1 60.000 (60.000 to 60.000)"
    )


def test_what_does_not_grow_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "held.lines"
    path.write_text(looks(*[7000, 7100, 6900, 7050] * 10))
    text, losses = traced.told(path)
    assert not losses
    assert "a.py" not in text
    path.write_text(looks(1, 2))
    assert traced.told(path) == ("what Python holds in 1 rests", [])
    assert traced.told(tmp_path / "nothing") == ("what Python holds in 0 rests", [])


@pytest.mark.skipif(sys.platform == "win32", reason="the heap of glibc is asked")
def test_what_is_let_go_is_not_held(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", GROWS], cwd=tmp_path, env={"PYTHONPATH": tests}, check=True
    )
    found = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    held = [look["lines"].get("<string>:9", 0) for look in found]
    assert held == [pytest.approx(100_000 * n, rel=0.01) for n in range(1, 31)]
    assert all(look["lines"].get("<string>:10", 0) < 1000 for look in found)
    assert [look["rest"] < 10**9 - 100_000 * n for n, look in enumerate(found, 1)] == [True] * 30
