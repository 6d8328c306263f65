"""The worked example runs, its notebook was executed, and the page of limits has its pictures."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

import unnoise

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ("1_patches.png", "2_losses.png", "3_results.png")

Script = Callable[..., dict[str, Any]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Runs a script of the repository with arguments, and gives its names."""

    def run(name: str, *words: str) -> dict[str, Any]:
        monkeypatch.syspath_prepend(str((ROOT / name).parent))
        monkeypatch.setattr(sys, "argv", [name, *words])
        return runpy.run_path(str(ROOT / name), run_name="__main__")

    return run


def grey_levels(path: Path) -> int:
    """How many different values a picture has; a blank one has one."""
    return len(np.unique(imagecodecs.imread(str(path))))


def test_example_on_the_bundled_photographs(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "example"
    names = script("examples/bsd68.py", "--quick", "-o", str(out))
    text = capsys.readouterr().out
    assert "predictions are identical" in text
    assert "method: n2v" in text
    assert re.search(r"loss \d.*held-out \d.* left", text)
    for picture in PICTURES:
        assert grey_levels(out / picture) > 30, picture
    train, test = names["pictures"](None)
    assert all(noisy.shape == (180, 180) for noisy, _ in train)
    noise = np.concatenate([(noisy - clean).ravel() for noisy, clean in train + test])
    assert abs(noise.mean()) < 0.1
    assert abs(noise.std() - 25) < 0.1
    assert unnoise.load(out / "bsd68.model").predict(test[0][0]).shape == test[0][0].shape


def test_example_on_a_folder(script: Script, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train400", "bsd68"):
        (tmp_path / part).mkdir()
        for i in range(2):
            picture = rng.integers(0, 255, (48, 64), np.uint8)
            imagecodecs.imwrite(str(tmp_path / part / f"{i}.png"), picture)
    out = tmp_path / "example"
    script("examples/bsd68.py", "--data", str(tmp_path), "--quick", "-o", str(out))
    assert all((out / picture).exists() for picture in PICTURES)
    with pytest.raises(SystemExit, match="no PNG pictures"):
        script("examples/bsd68.py", "--data", str(out), "--quick", "-o", str(out))


def test_a_loaded_model_that_differs_is_noticed(script: Script, tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).normal(100, 25, (32, 32)).astype(np.float32)
    model = unnoise.train(noisy, steps=1)
    names = runpy.run_path(str(ROOT / "examples/bsd68.py"))
    denoised = model.predict(noisy)
    names["save_and_load"](model, tmp_path / "a.model", noisy, denoised)
    with pytest.raises(SystemExit, match="something else"):
        names["save_and_load"](model, tmp_path / "b.model", noisy, denoised + 1)


def test_recipes_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    names = runpy.run_path(str(ROOT / "examples/bsd68.py"))

    def config(*words: str) -> unnoise.Config:
        monkeypatch.setattr(sys, "argv", ["bsd68.py", *words])
        return names["settings"](names["arguments"]())

    assert config("--recipe", "paper") == unnoise.Config.preset("paper")
    assert config() == unnoise.Config().replace(training={"minutes": 7.0})
    assert config("--minutes", "3").training.minutes == 3


def test_the_notebook_was_executed_and_tells_nothing_of_the_machine() -> None:
    path = ROOT / "docs" / "bsd68.ipynb"
    text = path.read_text("utf-8")
    assert len(text) < 2_000_000
    cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    outputs = [output for c in cells for output in c["outputs"]]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert sum(kind.startswith("image/") for kind in kinds) >= 4
    for output in outputs:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        shown = "".join(output.get("text", [])) + "".join(
            output.get("data", {}).get("text/plain", [])
        )
        assert not re.search(r"/(work|tmp|home|root)/|[Ww]arning", shown)


def test_the_page_of_limits_shows_every_case() -> None:
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    shown = set(re.findall(r"\]\((limits_\w+\.png)\)", text))
    assert shown == {path.name for path in (ROOT / "docs").glob("limits_*.png")}
    for name in shown:
        assert grey_levels(ROOT / "docs" / name) > 20, name
    benchmark = (ROOT / "benchmarks" / "limits.py").read_text("utf-8")
    assert all(f'"{name[7:-4]}": ' in benchmark for name in shown)
    for heading in text.split("\n## ")[1:]:
        if "limits_" in heading:
            for question in ("**What you see.**", "**Why.**", "**What to do.**"):
                assert question in heading, heading.splitlines()[0]


def test_cases_of_limits_run(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    threads = torch.get_num_threads()
    try:
        script("benchmarks/limits.py", "spots", "clipped", "--steps", "1", "-o", str(tmp_path))
    finally:
        torch.set_num_threads(threads)
    assert {path.name for path in tmp_path.iterdir()} == {"limits_spots.png", "limits_clipped.png"}
    assert "| one pixel | n2v |" in capsys.readouterr().out
