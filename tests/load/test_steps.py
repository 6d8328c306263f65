"""A few hundred steps and some predictions in one process."""

from __future__ import annotations

from load import steps
from load.growth import Size


def test_few_steps_take_no_threads_and_no_files() -> None:
    found = steps.measured(200, 40, run=100)
    assert [text for text in found["losses"] if "memory" not in text] == []  # too few to tell
    assert len(found["series"]["steps"]) == 200


def test_what_grows_is_told() -> None:
    sizes = [Size(0, 1 + n // 90, 5, 10_000_000 + 1000 * n) for n in range(100)]
    counts = list(range(100))
    losses = steps.told("steps", counts, sizes, counts)["losses"]
    assert len(losses) == 2
    assert losses[0].startswith("memory grows by 10.000 (10.000 to 10.000) MB per 10,000 steps")
    assert losses[1] == "1 threads became 2 over steps"


def test_pages_that_a_heap_touches_are_no_growth() -> None:
    def losses(each: int) -> list[str]:
        sizes = [Size(0, 1, 5, 10**9 + each * n) for n in range(100)]
        return steps.told("steps", list(range(100)), sizes, [7] * 100)["losses"]

    assert losses(2) == []
    assert losses(24) == ["memory grows by 0.240 (0.240 to 0.240) MB per 10,000 steps"]
