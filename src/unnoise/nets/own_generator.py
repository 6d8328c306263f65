"""Random weights and dropout from generators of their own; imports torch only.

PyTorch draws both from one generator of the whole process. Whoever seeds that and puts it back
spoils the draws of every other thread meanwhile, and is spoilt by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = frozenset(
    {
        nn.init.kaiming_normal_,
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        Tensor.normal_,
        Tensor.uniform_,
    }
)
"""What the layers of our nets fill their weights with."""


class DrawnFrom(TorchFunctionMode):
    """Within a ``with``, the first weights of nets come from this generator, in this thread.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with DrawnFrom(torch.Generator().manual_seed(0)):
    ...     one = nn.Linear(2, 2)
    >>> with DrawnFrom(torch.Generator().manual_seed(0)):
    ...     two = nn.Linear(2, 2)
    >>> bool((one.weight == two.weight).all()), bool((torch.get_rng_state() == before).all())
    (True, True)
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Hand the generator to whatever draws."""
        given = dict(kwargs or {})
        if func in DRAWS:
            given["generator"] = self.generator
        return func(*args, **given)


class Dropout(nn.Module):
    """Set a share of the values to 0 in training and scale the rest, as `torch.nn.Dropout` does.

    Parameters
    ----------
    p : float
        The share.

    Attributes
    ----------
    generator : torch.Generator or None
        What is drawn from; None is the generator of the process.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> layer.generator = torch.Generator().manual_seed(0)
    >>> sorted(set(layer(torch.ones(100)).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of a map of any shape."""
        if not self.training:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)


def seed_dropout(layers: Sequence[Dropout], generator: torch.Generator) -> None:
    """Seed dropout for a step, so that a run that goes on needs no second random state."""
    if not layers:
        return
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    own = torch.Generator(generator.device).manual_seed(int(seed))
    for layer in layers:
        layer.generator = own
