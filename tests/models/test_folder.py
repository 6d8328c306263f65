"""What a model folder gives back: where its images are, and weights of every version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthetic import white
from tiny import CPU, tiny, two_steps, untrained
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.together import PENDING
from unnoise.models import folder
from unnoise.models.build import ready
from unnoise.models.integrity import fault
from unnoise.models.migration import with_correlation
from unnoise.models.provenance import Source

X = white((40, 44))


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


@pytest.mark.parametrize("targets", [False, True])
def test_images_are_found_again_or_named_as_gone(tmp_path: Path, targets: bool) -> None:
    model, _ = untrained(X, tiny())
    np.save(tmp_path / "a.npy", X)
    here, gone = (Source(str(tmp_path / name), "YX", X.shape) for name in ("a.npy", "b.npy"))
    in_memory = Source(None, "YX", X.shape)

    def paths(*sources: Source) -> list[Path]:
        name = "targets" if targets else "data"
        known = replace(model.provenance, **{"data": (), name: sources})
        return folder.data_paths(tmp_path / "m", replace(model, provenance=known), targets=targets)

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
    shipped, _ = untrained(X, Config.preset(method="instant"))
    for bins, fits in ((0, False), (1, True), (2, True), (3, False), (4, True), (5, False)):
        weights = {**shipped.weights, "bins": torch.tensor(bins)}
        assert (fault(replace(shipped, weights=weights)) == "") == fits
    knots = shipped.weights["knots"].clone()
    knots[0, 1] = knots[0, 0]
    assert "rise" in fault(replace(shipped, weights={**shipped.weights, "knots": knots}))
