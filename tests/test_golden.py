"""What every method makes of small images stays what it was, to the last bit (golden/run.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "golden"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_results_are_those_of_the_stored_hashes() -> None:
    run = [sys.executable, str(HERE / "run.py")]
    found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    ((processor, hashes),) = found.items()
    stored = json.loads((HERE / "hashes.json").read_text())
    if processor not in stored:
        pytest.skip(f"no hashes are stored for this processor ({processor})")
    changed = {name for name in hashes if hashes[name] != stored[processor].get(name)}
    assert not changed
