"""Images of very different brightness: a model for each group, planned, trained and finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.levels import Level, levels, parts, selected
from unnoise.models.model import Model
from unnoise.models.provenance import Provenance
from unnoise.noise.image_noise import inspect_images
from unnoise.training.auto import Auto, MethodChoice
from unnoise.training.plan import needs_noise, plan
from unnoise.training.progress import Progress
from unnoise.training.run import Run

Group = tuple[list[Image], list[Image] | None]
"""Images, or frames of them, of one brightness, and of pairs the second ones."""


def planned(
    images: Sequence[Image],
    settings: Config | Auto,
    targets: Sequence[Image] | None = None,
) -> tuple[list[MethodChoice], Model]:
    """The settings of every group of alike images, and the model that a run starts from.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    settings : Config or Auto
        Settings as they are, or those that are chosen for every group.
    targets : sequence of Image, optional
        The second images of pairs.

    Returns
    -------
    list of MethodChoice
        One per group, in the order of ``Model.levels``.
    Model
        With ``others`` where images differ so much in brightness that one set of statistics would
        not do.

    Raises
    ------
    InputError
        As `unnoise.training.plan.plan` does.
    """
    groups = [(list(images), None if targets is None else list(targets))]
    found = _levels(images, settings, targets)
    if found:
        groups = _groups(images, found, targets)
    choices, models = [], []
    for own, partners in groups:
        if isinstance(settings, Auto):
            choice = settings.resolve(own, whole=not any(level.by_frame for level in found))
        else:  # measured here where it is needed, so that whoever wants the reports has them
            measured = own and needs_noise(settings)
            choice = MethodChoice(settings, tuple(inspect_images(own)) if measured else (), "")
        choices.append(choice)
        models.append(plan(own, choice.config, partners, choice.reports))
    if not found:
        return choices, models[0]
    models = [replace(m, level=level) for m, level in zip(models, found, strict=True)]
    return choices, replace(_joined(models), provenance=Provenance.of(images, targets))


def groups_of(
    model: Model, images: Sequence[Image], targets: Sequence[Image] | None = None
) -> list[tuple[Model, Group]]:
    """Every model by itself, and the images or frames that are its own."""
    if not model.others:
        return [(model, (list(images), None if targets is None else list(targets)))]
    known = [m.level for m in model.levels if m.level is not None]
    return list(zip(model.levels, _groups(images, known, targets), strict=True))


def describe_groups(groups: Sequence[Group]) -> str:
    """One line for people on what was put together."""
    names = []
    for images, _ in groups:
        more = f" and {len(images) - 3} more" if len(images) > 3 else ""
        names.append(", ".join(image.name for image in images[:3]) + more)
    return (
        f"the images differ so much in brightness that {len(groups)} groups get statistics and a "
        f"training of their own: {'; '.join(names)}"
    )


class LevelRuns(Run):
    """The runs of all groups, one after the other, in the shape of a single one.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `planned`, with others.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs.
    begin : callable
        Makes the run of a group (`unnoise.training.start.start`).
    """

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        targets: Sequence[Image] | None = None,
        *,
        begin: Callable[..., Run],
    ) -> None:
        self.device, self._begin = device, begin
        self._groups = groups_of(model, images, targets)
        self._models = model.levels
        self._provenance = model.provenance
        self._run: Run | None = None
        self._at = 0  # the group that is worked on
        self._before: dict[str, Any] = {"step": 0, "seconds": 0.0, "history": []}
        self._told: list[str] = []
        self.history: list[dict[str, Any]] = []

    @property
    def fraction(self) -> float:
        """Share of the work that is done."""
        part = self._run.fraction if self._run else 0.0
        return (self._at + part) / len(self._groups)

    def __iter__(self) -> Iterator[Progress]:
        """Go through the groups, yielding after every step."""
        while self._at < len(self._groups):
            run = self._run = self._run or self._start()
            for _ in run:
                self._take(run)
                if run.fraction == 1:
                    self._end(run)
                yield self.progress()
            if self._run is run:  # it had nothing left to do
                self._end(run)

    def _start(self) -> Run:
        """The run of the group that comes next."""
        model, (images, targets) = self._groups[self._at]
        return self._begin(images, model, self.device, targets)

    def _take(self, run: Run) -> None:
        """What the run of a group has done, added to that of those before."""
        self.step = self._before["step"] + run.step
        self.seconds = self._before["seconds"] + run.seconds
        self.loss = run.loss
        self.history = [*self._before["history"], *map(self._labelled, run.history)]

    def _labelled(self, line: dict[str, Any]) -> dict[str, Any]:
        """A record of a group in the history of all."""
        stage = f"{line['stage']}, " if "stage" in line else ""
        step = self._before["step"] + line["step"]
        return {**line, "step": step, "stage": f"{stage}group {self._at + 1}"}

    def _end(self, run: Run) -> None:
        """Keep what the run of a group gave."""
        self._take(run)
        self._models[self._at] = run.model()
        told = [*run.notes(), *run.remarks()]
        self._told += [f"group {self._at + 1}: {line}" for line in told]
        self._before = {"step": self.step, "seconds": self.seconds, "history": self.history}
        self._run = None
        self._at += 1

    def model(self) -> Model:
        """The models of all groups as one; those that are not trained yet, too."""
        models = list(self._models)
        if self._run is not None:
            models[self._at] = self._run.model()
        provenance = replace(
            self._provenance, steps=self.step, held_out=models[0].provenance.held_out
        )
        return replace(_joined(models), provenance=provenance)

    def remarks(self) -> list[str]:
        """What the finished runs say about themselves."""
        return self._told

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        run = None if self._run is None else self._run.state()
        return {"group": self._at, "before": self._before, "told": self._told, "run": run}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on, as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        try:
            self._at, self._before = int(state["group"]), dict(state["before"])
            self.step, self.seconds = int(self._before["step"]), float(self._before["seconds"])
            self.history = list(self._before["history"])
            self._told = [str(line) for line in state.get("told", [])]  # which older ones lack
            if state["run"] is not None:
                self._run = self._start()
                self._run.restore(state["run"])
                self._take(self._run)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"the saved training state does not fit its model ({error}); train anew"
            ) from error


def _levels(
    images: Sequence[Image], settings: Config | Auto, targets: Sequence[Image] | None
) -> tuple[Level, ...]:
    """The groups that images fall into; none where `plan` has to say what is wrong with them."""
    config = settings.provisional if isinstance(settings, Auto) else settings
    partners = images if targets is None else targets
    fit = len(partners) == len(images) and all(
        a.sizes == b.sizes for a, b in zip(images, partners, strict=True)
    )
    if not fit or len({image.sizes["C"] for image in images}) != 1:
        return ()
    # Pairs along an axis, and the context, are neighbours, which groups of frames would part.
    paired = config.pairs is not None and config.pairs.axis is not None
    return levels(images, by_frame=not paired and config.neighbours is None)


def _groups(
    images: Sequence[Image], known: Sequence[Level], targets: Sequence[Image] | None
) -> list[Group]:
    """The images or frames of every level, and their partners."""
    own: list[list[Image]] = [[] for _ in known]
    partners: list[list[Image]] = [[] for _ in known]
    for image, target in zip(images, targets or images, strict=True):
        for i, found in enumerate(parts(image, known)):
            own[i] += found
            partners[i] += [selected(target, part) for part in found]
    return [(a, None if targets is None else b) for a, b in zip(own, partners, strict=True)]


def _joined(models: Sequence[Model]) -> Model:
    """The models of all groups as one."""
    others = tuple(replace(m, provenance=Provenance()) for m in models[1:])
    return replace(models[0], others=others)  # where they come from, the first says for all
