"""One setting from the command line, and the names that other programs have for them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from unnoise.config.config import Config
from unnoise.errors import InputError


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [  # n2v/utils/n2v_utils.py: the manipulators by name
        ("uniform_withCP", "uniform_with_centre"),
        ("uniform_withoutCP", "uniform"),
        ("normal_withoutCP", "normal_without_centre"),
        ("normal_additive", "normal_additive"),
        ("normal_fitted", "normal_fitted"),
        ("identity", "identity"),
        ("mean", "mean"),
        ("median", "median"),
    ],
)
def test_the_reference_names_of_replacements_are_understood(theirs: str, ours: str) -> None:
    sparse = Config().set("mask.percent=1.5")
    assert sparse.set(f"mask.replacement={theirs}").mask.replacement == ours
    assert sparse.replace(mask={"replacement": theirs}).mask.replacement == ours
    text = f"mask: {{percent: 1.5, replacement: {theirs}}}"
    assert Config.from_yaml(text).mask.replacement == ours


@pytest.mark.parametrize(
    ("method", "assignment", "value"),
    [
        ("n2v", "mask.percent=5", 5.0),
        ("n2v", "mask.percent = 0.198", 0.198),
        ("n2v", " mask.pattern=grid", "grid"),
        ("n2v", "training.learning_rate=1e-3", 1e-3),
        ("n2v", "training.learning_rate=1.5E-4", 1.5e-4),
        ("n2v", "training.steps=20", 20),
        ("n2v", "training.clip=null", None),
        ("n2v", "training.augment=false", False),
        ("n2v", "training.betas=[0.5, 0.9]", (0.5, 0.9)),
        ("n2v", "ndim=3", 3),
        ("n2v", "ndim=null", None),
        ("structn2v", "mask.struct=horizontal:5", "horizontal:5"),
        ("structn2v", "mask.struct=z:3", "z:3"),
        ("structn2v", "mask.struct=[[1,0,1],[1,1,1],[0,0,1]]", [[1, 0, 1], [1, 1, 1], [0, 0, 1]]),
        ("b2u", "b2u.beta=[1, 9]", (1.0, 9.0)),
        ("n2n", "pairs.axis=T", "T"),
        ("n2n", "pairs.both_directions=no", False),
        ("nlm", "training.seed=3", 3),
    ],
)
def test_set_changes_one_setting(method: str, assignment: str, value: Any) -> None:
    before = Config.preset(method=method)
    after = before.set(assignment)
    expected = before.model_dump()
    inner, (*path, key) = expected, assignment.partition("=")[0].strip().split(".")
    for part in path:
        inner = inner[part]
    inner[key] = value
    assert after.model_dump() == expected
    assert before == Config.preset(method=method)


def test_settings_that_go_together_are_set_together() -> None:
    timed = Config.preset("paper").set("training.steps=null", "training.minutes=3")
    assert (timed.training.steps, timed.training.minutes) == (None, 3)
    assert Config().set("mask.percent=5", "mask.replacement=mean").mask.replacement == "mean"
    assert Config().set("mask.radius=3", "mask.radius=4").mask.radius == 4, "the last one wins"
    assert Config().set() == Config()
    with pytest.raises(InputError, match="either"):
        Config().set("training.steps=3", "training.minutes=3")


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("mask.percent", "write it as mask.percent=5"),
        ("=5", "write it as mask.percent=5"),
        ("mask.percent=99", "setting 'mask.percent'"),
        ("mask.percent=many", "setting 'mask.percent'"),
        ("mask.percent=[1", "no value for the setting mask.percent"),
        ("mask.percnt=5", "did you mean 'percent'"),
        ("netz.depth=5", "did you mean 'net'"),
        ("mask.percent.of=5", "setting 'mask.percent.of': there is no such setting"),
        ("method=n2v2", "cannot be changed by --set; use --method"),
        (" method =n2v2", "cannot be changed by --set; use --method"),
        ("b2u.side=4", "n2v has no settings 'b2u'; they belong to b2u"),
        ("mask.struct=horizontal:5", "change the method"),
        ("mask=null", "needs the settings 'mask'"),
        ("training=5", "setting 'training'"),
    ],
)
def test_set_refuses_what_cannot_be(assignment: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        Config().set(assignment)
