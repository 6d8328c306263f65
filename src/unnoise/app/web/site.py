"""What all visitors share, and the requests that come of what they choose."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
from unnoise.app.web.gallery import Gallery
from unnoise.app.web.settings import Settings
from unnoise.app.web.workspace import LONGEST_TEXT, Workspace, safe_name
from unnoise.errors import InputError
from unnoise.images.formats import unfinished, urls
from unnoise.images.formats.registry import suffix_of


@dataclass
class Choices:
    """What a visitor chose for a denoising; empty texts mean the default.

    Attributes
    ----------
    budget : str
    axes, series, channels, time, z, dtype, compress, method : str
    model : str
        The key of a model (`Site.key`).
    save_model : str
        A name for what is trained.
    uncertainty : bool
    together : bool
        Whether several files share one net.
    """

    budget: str = "auto"
    axes: str = ""
    series: str = ""
    channels: str = ""
    time: str = ""
    z: str = ""
    dtype: str = ""
    compress: str = ""
    method: str = ""
    model: str = ""
    save_model: str = ""
    uncertainty: bool = False
    together: bool = False


STAMP = "%Y-%m-%d_%H%M_"
"""What the folders of results begin with."""
PASSED_ON = ("axes", "series", "channels", "time", "z", "dtype", "compress", "method")


@dataclass(frozen=True)
class Site:
    """The workspace, its queue and its images.

    Attributes
    ----------
    settings : Settings
    workspace : Workspace
    queue : JobQueue
    gallery : Gallery
    measuring : ThreadPoolExecutor
        Looks at images take turns, so that visitors leave processors to the jobs. One thread: a
        look in a pool of several left the process 200 MB larger.
    """

    settings: Settings
    workspace: Workspace
    queue: JobQueue
    gallery: Gallery
    measuring: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="look")
    )

    @classmethod
    @contextlib.contextmanager
    def opened(cls, settings: Settings, workspace: Workspace) -> Iterator[Site]:
        """With the queue of the workspace; at the end its jobs are stopped, as by Ctrl-C."""
        # Visitors name files and no addresses: they would reach whatever the server reaches.
        with urls.local_only(), contextlib.ExitStack() as at_the_end:
            queue = JobQueue(workspace.queue, allowed=functools.partial(check, workspace))
            at_the_end.callback(queue.close, stop=True)
            workspace.sweep()
            site = cls(settings, workspace, queue, Gallery(workspace))
            at_the_end.callback(site.measuring.shutdown, wait=False, cancel_futures=True)
            yield site

    def requests(self, files: Sequence[Path], choices: Choices) -> list[Request]:
        """What the choices mean for some files: a job of each, or one of all.

        Raises
        ------
        InputError
            If files or model lie elsewhere, or files are no images.
        """
        if any(len(str(text)) > LONGEST_TEXT for text in vars(choices).values()):
            raise InputError(f"no field takes more than {LONGEST_TEXT} characters; type less")
        images = [self.workspace.image(path) for path in files]
        groups = [images] if choices.together else [[path] for path in images]
        taken: set[str] = set()
        return [self._request(group, choices, taken) for group in groups]

    def _request(self, group: Sequence[Path], choices: Choices, taken: set[str]) -> Request:
        """A job of some files, whose results have a folder of their own."""
        folder = self._free(self.workspace.results, _stamped(group[0]), taken)
        values: dict[str, Any] = {
            "inputs": tuple(map(str, group)),
            "out": f"{folder}/",
            "budget": choices.budget,
            **{name: getattr(choices, name).strip() or None for name in PASSED_ON},
        }
        if choices.uncertainty:
            values["uncertainty"] = f"{folder / 'uncertainty'}/"
        if choices.model:
            values |= {
                "model": str(self.workspace.path(self._model(choices.model))),
                "method": None,
            }
        elif choices.save_model:
            place = self._free(self.workspace.models, safe_name(choices.save_model), taken)
            values["save_model"] = str(place)
        return Request.from_dict({name: v for name, v in values.items() if v is not None})

    def _model(self, name: str) -> str:
        """A folder of a model, from the workspace on."""
        return f"{self.workspace.name(self.workspace.own)}/{name}"

    def _free(self, folder: Path, name: str, taken: set[str]) -> Path:
        """A place that is taken neither on disk nor by a job, and is from now on."""
        requests = [job.request for job in self.queue.jobs()]
        meant = taken.union(*({str(r.out).rstrip("/"), str(r.save_model)} for r in requests))
        ends = ("", *(f"_{n}" for n in range(2, 100_000)))
        places = (folder / f"{name}{end}" for end in ends)
        place = next(p for p in places if not p.exists() and str(p) not in meant)
        taken.add(str(place))
        return place

    def models(self) -> list[tuple[str, str]]:
        """The models that can be used, as pairs of key and label: those that were kept, then those
        of stopped jobs. What is hidden is being written.
        """
        kept = sorted(self.workspace.models.glob("[!.]*/config.yaml"))
        stopped = sorted(self.workspace.results.glob("*/[!.]*/config.yaml"), reverse=True)
        return [
            *((self.key(p.parent), p.parent.name) for p in kept),
            *((self.key(p.parent), f"of the stopped job {p.parent.parent.name}") for p in stopped),
        ]

    def key(self, model: Path) -> str:
        """What a model is called in addresses and choices."""
        return model.relative_to(self.workspace.own).as_posix()

    def again(self, request: Request) -> Request:
        """The same request, with places of its own for what it makes.

        Where pieces of a large result are kept it stays where it is, and goes on from them; other
        images of it whose results are there are left alone.

        Raises
        ------
        InputError
            If its images are gone, or lead elsewhere by now, or if it is none of this page.
        """
        found = self._anew(request)
        check(self.workspace, found)
        return found

    def _anew(self, request: Request) -> Request:
        """The same request with other places, or the same where something is to go on."""
        out = Path(request.out or "")
        is_alone = all(job.is_over for job in self.queue.jobs() if job.request.out == request.out)
        is_ours = _is_within(out, self.workspace.results)
        if is_alone and is_ours and any(unfinished.parts(out)):
            return replace(request, skip_existing=True)
        taken: set[str] = set()
        folder = self._free(self.workspace.results, _stamped(Path(request.inputs[0])), taken)
        spread = None if request.uncertainty is None else f"{folder / 'uncertainty'}/"
        saved = request.save_model
        if saved is not None:
            saved = str(self._free(self.workspace.models, Path(saved).name, taken))
        moved = replace(request, out=f"{folder}/", uncertainty=spread, save_model=saved)
        return replace(moved, skip_existing=False)


def check(workspace: Workspace, request: Request) -> None:
    """Refuse what this page never asks for, as the record of a job may hold that somebody wrote.

    Raises
    ------
    InputError
        If it reads outside the workspace, or writes elsewhere than where results and models go, or
        over what is there, or if its images are gone.
    """
    for name in request.inputs:
        workspace.image(Path(name))
    if request.model is not None:
        workspace.inside(Path(request.model))
    given = [*request.inputs, *filter(None, [request.out, request.model])]
    places = [(Path(request.out or ""), workspace.results)]
    if request.uncertainty is not None:
        places.append((Path(request.uncertainty), workspace.results))
    if request.save_model is not None:
        places.append((Path(request.save_model), workspace.models))
    if (
        not all(Path(name).is_absolute() for name in given)  # others may be addresses
        or not all(_is_within(place, folder) for place, folder in places)
        or any(part.is_symlink() for place, _ in places for part in place.rglob("*"))
        or request.overwrite
        or request.settings  # which can name files, too
    ):
        raise InputError(
            "the job reads or writes what jobs of this page do not; choose its images, and start "
            "it from there"
        )


def _is_within(place: Path, folder: Path) -> bool:
    """Whether a place, which need not be there, lies below a folder; links are followed."""
    try:
        real = place.resolve()
        return real != folder.resolve() and real.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name that cannot be, a circle of links
        return False


def _stamped(path: Path) -> str:
    """The name of a folder of results: the time, and what was denoised."""
    name = safe_name(path.name)
    return time.strftime(STAMP) + (name[: len(name) - len(suffix_of(name))] or "image")
