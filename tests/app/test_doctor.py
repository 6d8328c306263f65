"""What is found broken, and that the examination itself survives it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from unnoise.app import doctor
from unnoise.app.doctor import examine, lines
from unnoise.images import cgroup
from unnoise.images.cgroup import Limits


def problems(facts: dict[str, Any]) -> str:
    return "\n".join(f"{p['broken']}: {p['text']}; {p['remedy']}" for p in facts["problems"])


def test_this_installation_is_healthy_and_plain_values() -> None:
    facts = examine()
    assert facts["healthy"], problems(facts)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    text = "\n".join(lines(facts))
    assert facts["system"]["python"] in text
    assert f"torch {facts['packages']['torch']}" in text
    assert facts["memory"]["free"] <= facts["memory"]["total"]
    assert text.endswith("all is well")


def test_packages_that_are_missing_old_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"numpy": "1.9.9", "scipy": None}
    real, load = doctor._installed, doctor.importlib.import_module

    def broken(name: str) -> Any:
        if name == "skimage":
            raise OSError("libgomp.so.1: not there")
        return load(name)

    monkeypatch.setattr(doctor, "_installed", lambda name: versions.get(name, real(name)))
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    facts = examine()
    assert not facts["healthy"]
    text = problems(facts)
    assert "True: numpy 1.9.9 is older than 1.26; pip install 'numpy>=1.26'" in text
    assert re.search(r"^True: scipy is missing; pip install 'scipy>=[\d.]+'$", text, re.MULTILINE)
    assert "scikit-image" in text
    assert "libgomp.so.1: not there" in text
    assert "scipy MISSING" in "\n".join(lines(facts))


def test_little_room_and_too_many_threads_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (doctor, cgroup):
        monkeypatch.setattr(module, "limits", lambda: Limits(10**9, 4 * 10**8, 0.5))
    machine = SimpleNamespace(available=10**10, total=10**11)
    monkeypatch.setattr("psutil.virtual_memory", lambda: machine)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    facts = examine()
    assert facts["healthy"]
    assert facts["memory"] == facts["memory"] | {"free": 6 * 10**8, "limit": 10**9}
    assert "8 threads share the 0.5 processors" in problems(facts)
    assert "set OMP_NUM_THREADS=1" in problems(facts)
    assert "600.0 MB of memory is free" in problems(facts)


def test_no_place_for_temporary_files_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", full)
    facts = examine()
    assert not facts["healthy"]
    assert "No space left on device" in problems(facts)
    assert "TMPDIR" in problems(facts)
    assert list(lines(facts))[-1].startswith("unnoise cannot work")


def test_a_part_that_fails_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: 1 / 0)
    facts = examine()
    assert facts["memory"] is None
    assert facts["healthy"]
    assert "memory cannot be examined (ZeroDivisionError" in problems(facts)
    assert list(lines(facts))


def test_it_starts_where_nothing_else_does() -> None:
    """The exit code is 1, and the document says why."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'torch', 'scipy', 'skimage']));"
        "sys.argv = ['unnoise', 'doctor', '--json'];"
        "from unnoise.app.cli.main import main; main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1, found.stderr
    document = json.loads(found.stdout)
    assert not document["healthy"]
    assert sum(p["broken"] for p in document["problems"]) >= 3


@pytest.mark.parametrize(
    ("version", "least", "older"),
    [
        ("2.13.0+cpu", "2.4", False),
        ("2.4", "2.4.1", False),
        ("2.3.9", "2.4", True),
        ("2024.8.9", "2024.8.10", True),
        ("1.0rc1", "1.0", False),
    ],
)
def test_versions_are_compared_by_numbers(version: str, least: str, older: bool) -> None:
    assert doctor._is_older(version, least) == older
