"""Nothing leads out of the workspace, whatever a browser asks for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from unnoise.app.web.workspace import LONGEST, Workspace, safe_name
from unnoise.errors import InputError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder with images, beside one that nobody may see."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.tif").write_bytes(b"secret")
    (tmp_path / "open").mkdir()
    (tmp_path / "openly.tif").write_bytes(b"secret")  # its name begins as the workspace's
    inside = tmp_path / "open"
    for name in ("a/t10.tif", "a/t2.tif", "a/notes.txt", ".ssh/key.tif", "b.tif"):
        (inside / name).parent.mkdir(exist_ok=True)
        (inside / name).write_bytes(b"x" * 10)
    (inside / "out").symlink_to(tmp_path / "secret")
    (inside / "out.tif").symlink_to(tmp_path / "secret" / "x.tif")
    (inside / "round").symlink_to(inside / "round")
    (inside / "in.tif").symlink_to(inside / "b.tif")
    found = Workspace(inside)
    found.prepare()
    return found


@pytest.mark.parametrize(
    "name",
    [
        "../secret/x.tif",
        "a/../../secret/x.tif",
        "a/..",
        "..",
        ".",
        "a/./t2.tif",
        "../openly.tif",
        "..\\secret\\x.tif",
        "/etc/passwd",
        "//etc/passwd",
        "a//t2.tif",
        "C:/x.tif",
        "C:x.tif",
        "b.tif\0",
        "b.tif:stream",
        "out/x.tif",
        "out.tif",
        "round",
        "con.tif",
        "a/NUL",
        ".ssh/key.tif",
        "unnoise-app/.queue",
        "~/x.tif",
        "nothing.tif",
        "s3://bucket/x.tif",
        "b.tif\n",
        "\ud800.tif",
    ],
)
def test_what_lies_elsewhere_is_not_there(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputError, match="the workspace holds no"):
        workspace.path(name)


@given(st.text(alphabet="./\\ab~:\0", max_size=12) | st.text(max_size=12))
def test_no_name_leads_out(name: str) -> None:
    here = Workspace(Path(__file__).parent)
    try:
        found = here.path(name)
    except InputError:
        return
    assert found == here.root or found.is_relative_to(here.root)


def test_what_lies_inside_is_found(workspace: Workspace) -> None:
    assert workspace.path("a/t2.tif") == workspace.root / "a" / "t2.tif"
    assert workspace.path("") == workspace.root
    assert workspace.path("in.tif") == workspace.root / "b.tif"
    assert workspace.name(workspace.path("a/t2.tif")) == "a/t2.tif"


def test_a_listing_holds_folders_and_images_in_the_order_of_people(workspace: Workspace) -> None:
    assert [(e.name, e.is_folder) for e in workspace.listing("")] == [
        ("a", True),
        ("unnoise-app", True),
        ("b.tif", False),
        ("in.tif", False),
    ]
    assert [e.label for e in workspace.listing("a")] == ["t2.tif", "t10.tif"]
    with pytest.raises(InputError, match="holds no"):
        workspace.listing("b.tif")


def test_folders_that_lead_elsewhere_are_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "work" / "unnoise-app").symlink_to(tmp_path / "other")
    with pytest.raises(InputError):
        Workspace(tmp_path / "work").prepare()


def test_unfinished_uploads_of_an_earlier_run_go(workspace: Workspace) -> None:
    left = [workspace.incoming / "1.part", workspace.own / "open-1.html"]
    for file in left:
        file.touch()
    workspace.sweep()
    assert not any(file.exists() for file in left)
    if os.name == "posix":
        assert workspace.incoming.stat().st_mode & 0o777 == 0o700


@given(st.text(max_size=300))
def test_names_of_uploads_are_plain(wanted: str) -> None:
    name = safe_name(wanted)
    assert name
    assert len(name.encode("utf-8", "surrogatepass")) <= LONGEST + 12
    assert not set(name) & set('\0/\\:*?"<>|{}[]\n\r')
    assert not name.startswith((".", "-", " "))
    assert not name.endswith((".", " "))


def test_a_long_name_keeps_its_suffix() -> None:
    name = safe_name("\u00e9" * 400 + ".ome.tif")
    assert name.endswith(".tif")
    assert len(name.encode()) <= LONGEST


@pytest.mark.parametrize("piece", ["\u00e9", ".a", "/x"])
def test_a_name_as_long_as_a_message_costs_no_time(piece: str) -> None:
    began = time.process_time()
    name = safe_name(piece * 500_000 + ".ome.tif")
    assert time.process_time() - began < 1
    assert name.endswith(".tif")


def test_an_upload_takes_no_name_that_is_taken(workspace: Workspace) -> None:
    (workspace.uploads / "x.ome.tif").touch()
    assert workspace.free_name("x.ome.tif") in ("x.ome_2.tif", "x_2.ome.tif")
    assert workspace.free_name("../../x.png") == "x.png"
    (workspace.uploads / "x.png").symlink_to("nowhere")
    assert workspace.free_name("x.png") == "x_2.png"
    with pytest.raises(InputError, match="suffix"):
        workspace.free_name("run.exe")
