"""Groups of options: users see single ones, jobs get what belongs together."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from unnoise.app.cli.option_groups import (
    Measured,
    Reading,
    Result,
    Selection,
    Training,
    Writing,
    given,
    with_groups,
)
from unnoise.app.files import InputOptions, OutputOptions

GROUPS = (Selection, Measured, Reading, Result, Writing, Training)


def test_everything_that_is_read_or_written_by_can_be_chosen() -> None:
    assert {f.name for f in fields(Reading)} == {f.name for f in fields(InputOptions)}
    assert {f.name for f in fields(Writing)} == {f.name for f in fields(OutputOptions)}


def test_options_that_nobody_gave_are_those_of_the_jobs() -> None:
    for group in (Selection(), Measured(), Reading()):
        assert group.options() == InputOptions()
    for group in (Result(), Writing()):
        assert group.options(tta=False) == OutputOptions()


@pytest.mark.parametrize("group", GROUPS)
def test_one_option_is_enough_to_have_given_some(group: type) -> None:
    assert not given(group())
    for field in fields(group):
        assert given(group(**{field.name: "something"})), field.name


def test_an_option_that_may_be_repeated_is_not_given_by_an_empty_list() -> None:
    assert not given(Training(set_=[]))
    assert given(Training(set_=["a=1"]))


@with_groups
def command(name: str, what: Selection, training: Training, wanted: str, last: int = 3) -> None:
    """For the tests."""
    raise LookupError(name, what, training, wanted, last)


def test_single_options_stand_in_the_place_of_their_group() -> None:
    names = list(inspect.signature(command).parameters)
    groups = [f.name for kind in (Selection, Training) for f in fields(kind)]
    assert names == ["name", *groups, "wanted", "last"]
    assert (command.__name__, command.__doc__) == ("command", "For the tests.")


def test_a_group_gets_its_options_and_those_that_are_missing_as_they_are_by_themselves() -> None:
    with pytest.raises(LookupError) as told:
        command(name="a", axes="ZYX", seed=2, wanted="b")
    # What has a default of its own keeps it.
    assert told.value.args == ("a", Selection(axes="ZYX"), Training(seed=2), "b", 3)
