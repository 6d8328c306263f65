"""What choices ask for: a folder of its own for every job, and nothing outside the workspace."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.session.look import look
from unnoise.app.session.request import Request
from unnoise.app.web.gallery import Picture
from unnoise.app.web.settings import Settings
from unnoise.app.web.site import Choices, Site
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError
from unnoise.images.formats import unfinished
from unnoise.images.formats.unfinished import Part


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """With two images of the same name, and one that lies outside."""
    for folder in ("work/a", "work/b", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "cells.npy", np.zeros((8, 8)))
    workspace = Workspace(tmp_path / "work")
    workspace.prepare()
    with Site.opened(Settings(workspace.root), workspace) as found:
        yield found


def files(site: Site) -> list[Path]:
    """The two images."""
    return [site.workspace.root / folder / "cells.npy" for folder in "ab"]


def test_every_job_has_a_folder_of_its_own(site: Site) -> None:
    choices = Choices(uncertainty=True, save_model="my net")
    requests = site.requests(files(site), choices)
    assert len(requests) == 2
    for field in ("out", "uncertainty", "save_model"):
        places = {getattr(request, field) for request in requests}
        assert len(places) == 2
        assert all(Path(place).is_relative_to(site.workspace.own) for place in places)
    again = site.again(requests[0])
    assert again.inputs == requests[0].inputs
    (together,) = site.requests(files(site), Choices(together=True))
    assert together.inputs == tuple(map(str, files(site)))


def test_a_large_result_goes_on_where_it_was_stopped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request, _) = site.requests(files(site), Choices())
    assert request.out is not None
    Path(request.out).mkdir(parents=True)
    assert site.again(request).out != request.out
    part = Part("cells.npy", "cells.npy", "a.model", 1, 2)
    monkeypatch.setattr(unfinished, "parts", lambda folder: iter([part]))
    again = site.again(request)  # another image of it may be done
    assert again == replace(request, skip_existing=True)
    monkeypatch.undo()
    once_more = site.again(again)
    assert not once_more.skip_existing
    assert once_more.out != request.out


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "..", "models/../../a"])
def test_models_lie_in_the_workspace(site: Site, name: str) -> None:
    with pytest.raises(InputError, match="the workspace holds no"):
        site.requests(files(site), Choices(model=name))


def test_images_lie_in_the_workspace(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the workspace holds no"):
        site.requests([tmp_path / "elsewhere" / "cells.npy"], Choices())


@pytest.mark.parametrize("name", ["sub", "sub.tif"])
def test_a_folder_of_images_is_no_image(site: Site, tmp_path: Path, name: str) -> None:
    """Its links may lead out of the workspace, and its files are not screened."""
    folder = site.workspace.root / name
    folder.mkdir()
    (folder / "link.npy").symlink_to(tmp_path / "elsewhere" / "cells.npy")
    (folder / "cells.npy").write_bytes(files(site)[0].read_bytes())
    for place in (folder, folder / "link.npy"):
        with pytest.raises(InputError, match="the workspace holds no"):
            site.requests([*files(site), place], Choices(together=True))
        with pytest.raises(InputError, match="the workspace holds no"):
            site.gallery.name(Picture(place))
    assert [entry.is_folder for entry in site.workspace.listing("") if entry.name == name] == [True]
    assert [entry.label for entry in site.workspace.listing(name)] == ["cells.npy"]


def test_a_folder_that_is_an_image_is_one(site: Site) -> None:
    for name, marker in (("cells.zarr", None), ("plate", "zarr.json")):
        folder = site.workspace.root / name
        folder.mkdir()
        if marker:
            (folder / marker).touch()
        assert site.requests([folder], Choices())[0].inputs == (str(folder),)


def test_an_image_that_leads_elsewhere_by_now_is_not_denoised_again(
    site: Site, tmp_path: Path
) -> None:
    (request, _) = site.requests(files(site), Choices())
    name = site.gallery.name(Picture(files(site)[0]))
    files(site)[0].unlink()
    files(site)[0].symlink_to(tmp_path / "elsewhere" / "cells.npy")
    with pytest.raises(InputError, match="the workspace holds no"):
        site.again(request)
    assert site.gallery.image(name) is None


@pytest.mark.parametrize("field", ["axes", "time", "save_model", "dtype"])
def test_nobody_types_books_into_a_field(site: Site, field: str) -> None:
    with pytest.raises(InputError, match="more than 1000 characters"):
        site.requests(files(site), Choices(**{field: "x" * 1001}))


def test_names_of_models_are_plain(site: Site) -> None:
    (request, _) = site.requests(files(site), Choices(save_model="../../x"))
    assert request.save_model == str(site.workspace.models / "x")


def test_models_that_were_kept_are_offered(site: Site) -> None:
    results, models = site.workspace.results, site.workspace.models
    done = models / "net", results / "job" / "cells.model"
    unfinished = models / ".net.1.part", results / "job" / ".cells.model.1.part"
    for place in done + unfinished:
        place.mkdir(parents=True)
        (place / "config.yaml").touch()
    keys = dict(site.models())
    assert list(keys.values()) == ["net", "of the stopped job job"]
    for key in keys:
        assert site.requests(files(site)[:1], Choices(model=key))[0].model


def test_the_server_opens_no_address(site: Site) -> None:
    with pytest.raises(InputError, match="addresses are not opened here"):
        look(Request(("https://127.0.0.1:9/a.npy",)))


def test_pages_that_are_closed_leave_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("closed_pages.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path), "12"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""  # PyTorch warns where NiceGUI looks at its objects
    few, many = json.loads(done.stdout)
    assert many == few
    assert "nicegui.client.Client" not in many
    assert many["unnoise.app.web.tiles._Server"] == 1
