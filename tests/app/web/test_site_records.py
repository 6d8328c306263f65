"""Records of jobs that somebody else wrote into the workspace: they reach nothing outside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.app.web.settings import Settings
from unnoise.app.web.site import Choices, Site, check
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With an image in it, and one beside it."""
    rng = np.random.default_rng(0)
    for folder in ("work", "elsewhere"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "cells.npy", rng.normal(9, 1, (32, 32)).astype(np.float32))
    found = Workspace(tmp_path / "work")
    found.prepare()
    return found


def asked(workspace: Workspace) -> Request:
    """What the page asks for."""
    values = {
        "inputs": [str(workspace.root / "cells.npy")],
        "out": f"{workspace.results / 'cells'}/",
        "method": "gaussian",
        "report": False,
    }
    return Request.from_dict(values)


def linked(workspace: Workspace) -> Request:
    """A result that a link leads out of the workspace."""
    workspace.results.joinpath("cells").symlink_to(workspace.root.parent / "elsewhere")
    return asked(workspace)


def linked_within(workspace: Workspace) -> Request:
    """A link in the folder of the results."""
    folder = workspace.results / "cells" / ".cells.npy.unfinished"
    folder.mkdir(parents=True)
    (folder / "pixels").symlink_to(workspace.root.parent / "elsewhere" / "cells.npy")
    return asked(workspace)


CHANGES: dict[str, Callable[[Workspace], dict[str, object]]] = {
    "inputs": lambda w: {"inputs": (str(w.root.parent / "elsewhere" / "cells.npy"),)},
    "one of the inputs": lambda w: {"inputs": (*asked(w).inputs, "/etc/passwd")},
    "address": lambda w: {"inputs": (f"file://{w.root}/cells.npy",)},
    "pattern": lambda w: {"inputs": (f"{w.root.parent}/*/cells.npy",)},
    "relative": lambda w: {"out": "results/cells/"},
    "none": lambda w: {"out": None},
    "out": lambda w: {"out": str(w.root.parent / "elsewhere" / "victim.npy")},
    "dots": lambda w: {"out": f"{w.results}/../../../elsewhere/victim.npy"},
    "image": lambda w: {"out": str(w.root / "victim.npy")},
    "record": lambda w: {"out": f"{w.queue / 'jobs'}/"},
    "all results": lambda w: {"out": f"{w.results}/"},
    "NUL": lambda w: {"out": f"{w.results}/a\0/"},
    "uncertainty": lambda w: {"uncertainty": str(w.root.parent / "elsewhere")},
    "save_model": lambda w: {"save_model": str(w.root.parent / "elsewhere" / "net")},
    "model": lambda w: {"model": str(w.root.parent / "elsewhere")},
    "overwrite": lambda w: {"overwrite": True},
    "settings": lambda w: {"settings": ("noise_model=/etc/passwd",)},
}


@pytest.mark.parametrize("name", [*CHANGES, "linked", "linked_within"])
def test_what_the_page_never_asks_for_is_refused(workspace: Workspace, name: str) -> None:
    check(workspace, asked(workspace))
    if name in CHANGES:
        request = replace(asked(workspace), **CHANGES[name](workspace))  # type: ignore[arg-type]
    else:
        request = {"linked": linked, "linked_within": linked_within}[name](workspace)
    with pytest.raises(InputError, match=r"the workspace holds no|jobs of this page do not"):
        check(workspace, request)


def test_a_record_that_waits_is_looked_at_before_it_runs(workspace: Workspace) -> None:
    victim = workspace.root.parent / "elsewhere" / "victim.npy"
    victim.write_bytes(b"precious")
    records = workspace.queue / "jobs"
    records.mkdir()
    hostile = replace(asked(workspace), out=str(victim), overwrite=True)
    for number, (name, request) in enumerate([("bad", hostile), ("good", asked(workspace))]):
        record = Job(name, request, number=number).to_dict()
        (records / f"{name}.json").write_text(json.dumps(record))
    with Site.opened(Settings(workspace.root), workspace) as site:
        assert site.queue.join(200)
        bad, good = site.queue.job("bad"), site.queue.job("good")
        with pytest.raises(InputError, match="jobs of this page do not"):
            site.again(hostile)
    assert (bad.state, bad.misuse, bad.pid) == ("failed", True, None)
    assert "jobs of this page do not" in bad.error
    assert victim.read_bytes() == b"precious"
    assert (good.state, [path.name for path in good.results]) == ("done", ["cells.npy"])


def test_everything_that_can_be_chosen_is_allowed(workspace: Workspace) -> None:
    model = workspace.models / "net"
    model.mkdir()
    (model / "config.yaml").touch()
    with Site.opened(Settings(workspace.root), workspace) as site:
        for choices in (
            Choices(uncertainty=True, save_model="mine", axes="YX", dtype="float32"),
            Choices(model="models/net", compress="zlib", budget="five"),
        ):
            for request in site.requests([workspace.root / "cells.npy"], choices):
                check(workspace, request)
                check(workspace, site.again(request))
