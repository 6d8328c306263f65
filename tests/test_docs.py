"""The commands and snippets of the documentation run, with short budgets."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.app.cli import main as cli
from unnoise.training import plan

ROOT = Path(__file__).resolve().parents[1]


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language in a file."""
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_steps: None) -> Path:
    """The files that the README talks about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "DEFAULT_STEPS", {2: 1, 3: 1})
    monkeypatch.setattr(plan, "ADAPTED_STEPS", 4)
    rng = np.random.default_rng(0)
    names = ["cells.tif", "big.tif", "field.tif"]
    for folder in ("folder", "low", "high", "again"):
        (tmp_path / folder).mkdir()
        names += [f"{folder}/one.tif", f"{folder}/two.tif"]
    for name in names:
        tifffile.imwrite(name, rng.poisson(9, (48, 48)).astype(np.uint16))
    movie = rng.poisson(9, (4, 32, 32)).astype(np.uint16)
    for name in ("movie.tif", "frames.tif"):
        tifffile.imwrite(name, movie, imagej=True, metadata={"axes": "TYX"})
    tifffile.imwrite("dark.tif", rng.normal(5, 2, (8, 48, 48)).astype(np.float32))
    tifffile.imwrite("stack.tif", rng.poisson(9, (16, 32, 32)).astype(np.uint16))
    tifffile.imwrite("mask.tif", (np.arange(48) > 9).repeat(48).reshape(48, 48).astype(np.uint8))
    return tmp_path


RESULTS = {
    "README.md": "cells_denoised.tif out/one.tif clean.tif my.model big_clean.tif n2v2.tif s.tif "
    "movie_clean.tif near.tif care.model std.tif cells_denoised.report.html camera.json",
    "docs/know_your_noise.md": "noise.json noise.html camera.json c.tif c.report.html "
    "nodata.tif masked.tif filled.tif fixed.tif",
    "docs/scale.md": "my.model big_clean.tif stack_clean.ome.zarr",
    "docs/methods.md": "cells_denoised.tif s.tif n.tif near.tif care.model n2n.model b.tif l.tif "
    "f.tif std.tif run.yaml my.model other.model",
}


QUIET = ("denoise", "train", "predict", "demo", "calibrate")


@pytest.mark.timeout(1200)  # a dozen commands, one after the other: minutes on a busy machine
@pytest.mark.parametrize("name", sorted(RESULTS))
def test_commands_run(
    name: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for block in blocks(name, "console") for line in block.splitlines()]
    commands = [line.split("#")[0] for line in lines if line.startswith("unnoise ")]
    assert len(commands) >= 5
    for command in commands:
        command, _, redirected = command.replace("--minutes 3", "--steps 1").partition(" > ")
        words = shlex.split(command)
        words = [str(q) for w in words for q in (sorted(data.glob(w)) if "*" in w else [w])]
        quiet = ["--quiet"] if words[1] in QUIET else []
        monkeypatch.setattr(sys, "argv", [*words, *quiet])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, command
        output = capsys.readouterr().out
        if redirected:
            (data / redirected.strip()).write_text(output)
    for result in RESULTS[name].split():
        assert (data / result).exists()


@pytest.mark.parametrize("name", ["README.md", "docs/methods.md", "docs/know_your_noise.md"])
def test_snippets_run(name: str, data: Path) -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.poisson(9, (3, 48, 48)).astype(np.uint16)
    names = {"noisy_array": a, "a": a, "b": b, "c": c}
    snippets = blocks(name, "python")
    assert snippets
    for snippet in snippets:
        short = snippet.replace("minutes=5", "steps=1").replace("steps=200", "steps=1")
        exec(compile(short, name, "exec"), names)
    if name == "docs/know_your_noise.md":
        assert names["report"].method == "n2v"
        return
    assert names["clean"].shape == (48, 48)
    if name == "README.md":
        assert tifffile.imread("cells_clean.tif").shape == (48, 48)


def test_links_of_the_documentation_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_citation_and_version_agree() -> None:
    import yaml

    import unnoise

    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cff["version"] == unnoise.__version__
    assert "Noise2Void" in cff["references"][0]["title"]
    assert f"\n## {unnoise.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
