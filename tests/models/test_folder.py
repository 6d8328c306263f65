"""What a model folder gives back: where its images are, and weights of every version."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthetic import white
from tiny import CPU, tiny, two_steps, untrained
from unnoise.config import plain_yaml
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.levels import Level
from unnoise.images.together import PENDING
from unnoise.models import folder
from unnoise.models.build import ready
from unnoise.models.integrity import fault
from unnoise.models.migration import with_correlation
from unnoise.models.model import EnsembleMember
from unnoise.models.provenance import Source

X = white((40, 44))


def test_names_whose_bytes_are_no_unicode_come_back(tmp_path: Path) -> None:
    """As Latin-1 ones on a disk of Linux: a folder above the image is enough."""
    model, _ = untrained(X, tiny())
    source = Source("/k\udcff/a.tif", "YX", X.shape)
    known = replace(model.provenance, data=(source,), reading={"mask": "/k\udcff/mask.tif"})
    folder.save(tmp_path / "m", replace(model, provenance=known))
    assert folder.load(tmp_path / "m").provenance == known


def test_a_model_that_could_not_be_read_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = untrained(X, tiny())
    folder.save(tmp_path / "m", model)
    monkeypatch.setattr(plain_yaml, "LONGEST", 10_000)
    known = replace(model.provenance, data=(Source("a" * 20_000, "YX", X.shape),))
    with pytest.raises(InputError, match=r"config\.yaml are too long"):
        folder.save(tmp_path / "m", replace(model, provenance=known))
    assert folder.load(tmp_path / "m").provenance == model.provenance


def test_a_folder_is_made_with_those_above_it_and_read_through_a_link(tmp_path: Path) -> None:
    model, _ = untrained(X, two_steps("n2v", "net.batch_norm=true"))
    place = tmp_path / "new" / "deep" / "m"
    folder.save(place, model)
    (tmp_path / "link").symlink_to(place)
    for found in (folder.load(place), folder.load(tmp_path / "link")):
        assert found.config == model.config
        assert all(torch.equal(found.weights[name], w) for name, w in model.weights.items())
    assert not folder.is_resumable(place)
    folder.save(place, model, [], {"step": torch.zeros(3)})
    assert folder.is_resumable(place)
    assert torch.equal(folder.load_state(place)["step"], torch.zeros(3))


def test_a_change_that_a_kill_interrupted_is_completed(tmp_path: Path) -> None:
    model, _ = untrained(X, tiny())
    folder.save(tmp_path / "m", model)
    other, _ = untrained(X, tiny(seed=1))
    folder.save(tmp_path / "other", other)
    (tmp_path / "m" / PENDING).mkdir()
    for name in (folder.CONFIG, folder.WEIGHTS):
        (tmp_path / "other" / name).rename(tmp_path / "m" / PENDING / name)
    whole = folder.identity(tmp_path / "m")
    folder.settle(tmp_path / "m")
    assert not (tmp_path / "m" / PENDING).exists()
    assert folder.identity(tmp_path / "m") == whole
    found = folder.load(tmp_path / "m").weights
    assert all(torch.equal(found[name], w) for name, w in other.weights.items())


def test_places_that_a_model_must_not_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = untrained(X, tiny())
    place = tmp_path / "m"
    folder.save(place, model)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    for name, words in (
        ("link", "is a link to .*gone, which is missing"),
        ("file", "is a file"),
        ("other", "holds other files"),
        ("m", "exists; add --overwrite"),
    ):
        with pytest.raises(InputError, match=words):
            folder.check_place(tmp_path / name, overwrite=False)
    with pytest.raises(InputError, match=r"s3://ann:\*\*\*@lab/my\.model is an address"):
        folder.check_place(Path("s3://ann:secret@lab/my.model"), overwrite=False)
    folder.check_place(place, overwrite=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="is the current folder"):
        folder.check_place(Path("."), overwrite=True)
    monkeypatch.chdir(place)
    folder.check_place(Path("."), overwrite=True)
    with pytest.raises(InputError, match="No space"):
        folder.check_place(tmp_path / "new", overwrite=False, nbytes=2**62)


def test_a_disk_may_be_filled_to_its_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = shutil.disk_usage(tmp_path)
    for free, needed, fits in ((1000, 1000, True), (1000, 1001, False), (0, 0, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, n=free: used._replace(free=n))
        given = {"nbytes": needed} if needed else {}
        with contextlib.nullcontext() if fits else pytest.raises(InputError, match="No space"):
            folder.check_place(tmp_path / "m", overwrite=False, **given)


def test_a_folder_takes_no_more_than_it_is_said_to_need(tmp_path: Path) -> None:
    model, _ = untrained(X, tiny())
    five = {name: [w.clone() for _ in range(5)] for name, w in model.weights.items()}
    folder.save(tmp_path / "m", model, [], five)
    taken = sum(file.stat().st_size for file in (tmp_path / "m").iterdir())
    weights = sum(w.nbytes for w in model.weights.values())
    assert taken < folder.needed(model) < 6 * weights + 2**20 + 1


def test_a_folder_of_a_later_version_is_told_as_such(tmp_path: Path) -> None:
    model, _ = untrained(X, tiny())
    folder.save(tmp_path / "m", model)
    config = tmp_path / "m" / folder.CONFIG
    config.write_text(config.read_text().replace("format: 2", "format: 3"))
    with pytest.raises(ModelError, match="newer unnoise"):
        folder.load(tmp_path / "m")


def test_names_that_are_no_names_are_refused_before_anything_is_done() -> None:
    model, _ = untrained(X, tiny())
    for call in (lambda: folder.save(3, model), lambda: folder.load(3)):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"folder is 3 .*like 'my\.model'"):
            call()


@pytest.mark.parametrize("name", [folder.CONFIG, folder.WEIGHTS])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        folder.load(tmp_path / "m")
    folder.save(tmp_path / "m", untrained(X, tiny())[0])
    (tmp_path / "m" / name).unlink()
    with pytest.raises(ModelError, match=f"not an unnoise model folder: it lacks {name}"):
        folder.load(tmp_path / "m")


def test_the_history_of_a_training_is_a_line_for_each_validation(tmp_path: Path) -> None:
    model, _ = untrained(X, tiny())
    history = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "stage": "group 1"}]
    folder.save(tmp_path / "m", model, history)
    lines = (tmp_path / "m" / folder.LOG).read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
    folder.save(tmp_path / "m", model)
    assert not (tmp_path / "m" / folder.LOG).exists()


def test_a_training_that_is_over_does_not_go_on(tmp_path: Path) -> None:
    model, _ = untrained(X, tiny())
    folder.save(tmp_path / "m", model, [], {"step": 1})
    folder.save(tmp_path / "m", model)
    with pytest.raises(ModelError, match=r"has no resume\.pt, so its training cannot go on"):
        folder.load_state(tmp_path / "m")


def test_models_of_every_brightness_and_their_seconds_keep_their_own(tmp_path: Path) -> None:
    """Every weight another, so that none could be taken for that of a neighbour."""
    kinds = [untrained(X, tiny(seed=seed))[0] for seed in range(4)]
    bright, dim, second, third = kinds
    levels = [Level((mean,), (1.0,)) for mean in (10.0, 20.0, 30.0)]
    dim = replace(dim, level=levels[1], second=EnsembleMember(second, 0.25))
    model = replace(bright, level=levels[0], others=(dim, replace(third, level=levels[2])))
    folder.save(tmp_path / "m", model)
    found = folder.load(tmp_path / "m")
    assert [part.level for part in found.levels] == levels
    assert found.others[0].second is not None
    assert found.others[0].second.share == 0.25
    assert found.second is found.others[1].second is None
    read = [part for level in found.levels for part, _ in level.members]
    for one, other in zip(read, (bright, dim, second, third), strict=True):
        assert one.weights.keys() == other.weights.keys()
        assert all(torch.equal(one.weights[name], w) for name, w in other.weights.items())
    folder.save(tmp_path / "alone", bright)
    assert "others" not in (tmp_path / "alone" / folder.CONFIG).read_text()
    assert folder.load(tmp_path / "alone").others == ()


@pytest.mark.parametrize("targets", [False, True])
def test_images_are_found_again_or_named_as_gone(tmp_path: Path, targets: bool) -> None:
    model, _ = untrained(X, tiny())
    np.save(tmp_path / "a.npy", X)
    here, gone = (Source(str(tmp_path / name), "YX", X.shape) for name in ("a.npy", "b.npy"))
    in_memory = Source(None, "YX", X.shape)

    def paths(*sources: Source) -> list[Path]:
        name = "targets" if targets else "data"
        known = replace(model.provenance, **{"data": (), name: sources})
        whose = {"targets": True} if targets else {}
        return folder.data_paths(tmp_path / "m", replace(model, provenance=known), **whose)

    assert paths(here, here) == [tmp_path / "a.npy"] * 2
    with pytest.raises(InputError, match=r"b\.npy, which is gone; .*--resume") as caught:
        paths(here, gone)
    assert ("--targets" in str(caught.value)) == targets
    for sources in ((), (in_memory,), (gone, in_memory)):
        with pytest.raises(InputError, match="arrays in memory"):
            paths(*sources)


def test_weights_of_the_shipped_net_know_what_they_did_not_know_once() -> None:
    """What is added changes nothing: white noise, single pixels, no blur."""
    model, _ = untrained(X, Config.preset(method="instant"))
    new = dict(model.weights)
    known = {"rho", "bins", "blur_share", "blur_width"}
    assert known <= set(new)
    old = {name: weight for name, weight in new.items() if name not in known}
    found = with_correlation(old)
    assert set(found) == set(new)
    assert all(found[name].shape == new[name].shape for name in known)
    assert not found["rho"].any()
    assert not found["blur_share"].any()
    assert (found["bins"], found["blur_width"]) == (1, 1)
    assert with_correlation(new).keys() == new.keys()
    assert all(with_correlation(new)[name] is weight for name, weight in new.items())
    assert fault(replace(model, weights=found)) == ""
    ready(replace(model, weights=found), CPU)
    other, _ = untrained(X, tiny())
    assert with_correlation(other.weights) == other.weights


def test_values_at_the_edge_of_what_is_allowed_are_allowed() -> None:
    model, _ = untrained(X, two_steps("n2v", "net.batch_norm=true"))
    flat = {k: 0 * w if "running_var" in k else w for k, w in model.weights.items()}
    assert fault(replace(model, weights=flat)) == ""
    for share, fits in ((-0.1, False), (0.0, True), (1.0, True), (1.1, False), (2.0, False)):
        both = replace(model, second=EnsembleMember(model, share))
        assert (fault(both) == "") == fits
    shipped, _ = untrained(X, Config.preset(method="instant"))
    for bins, fits in ((0, False), (1, True), (2, True), (3, False), (4, True), (5, False)):
        weights = {**shipped.weights, "bins": torch.tensor(bins)}
        assert (fault(replace(shipped, weights=weights)) == "") == fits
    knots = shipped.weights["knots"].clone()
    knots[0, 1] = knots[0, 0]
    assert "rise" in fault(replace(shipped, weights={**shipped.weights, "knots": knots}))


def test_a_name_with_a_null_character_is_refused() -> None:
    model, _ = untrained(X, two_steps("n2v"))
    with pytest.raises(InputError, match="holds a character that no name has"):
        folder.save("a\0b", model)
