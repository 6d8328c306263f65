"""A training step or a validation that gives no number: found, and undone.

One batch may hold a pixel far beyond all others, or the rate may be too high for a moment: then the
loss of that step is no number, or only the next held-out loss, of weights far too large. The run
goes on from its last good weights, more slowly, instead of losing hours of work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unnoise.errors import UnnoiseError
from unnoise.training.optimizer import Optimizer

MOST = 3
"""Times that a run goes back; a fault that stays is none of a batch."""
SLOWER = 0.5
"""By which the learning rate is multiplied each time."""


def is_finite(loss: Tensor, gradients: Sequence[Tensor]) -> bool:
    """Whether a loss and all gradients are finite numbers.

    Examples
    --------
    >>> is_finite(torch.tensor(1.0), [torch.ones(2), torch.tensor([0.0, torch.inf])])
    False
    """
    norms = torch._foreach_norm([*gradients]) if gradients else ()
    found = [loss.detach().float(), *(norm.float() for norm in norms)]
    return bool(torch.stack(found).isfinite().all())


def go_back(
    net: torch.nn.Module,
    weights: Mapping[str, Tensor],
    average: Sequence[Tensor],
    followed: Sequence[Tensor],
    optimizer: Optimizer,
) -> None:
    """Put weights back into a net, its moving average and its optimiser, which forgets the rest.

    Parameters
    ----------
    net : Module
        Its tensors change in place.
    weights : mapping
        The last good ones: those of the best validation, or those that the run began with. They
        are part of every saved run, so a run that goes on goes back to the same ones.
    average, followed : sequence of Tensor
        The moving average, and the tensors of the net that it follows.
    optimizer : Optimizer
    """
    net.load_state_dict(dict(weights))
    with torch.no_grad():
        torch._foreach_copy_(list(average), list(followed))
        for tensors in (optimizer.steps, *optimizer.memories):
            torch._foreach_zero_(tensors)


def diverged(step: int, rate: float, times: int) -> UnnoiseError:
    """The error of a run that has gone back often enough, or at its end has nothing to keep."""
    tried = (
        f"though it went back to its last good weights {MOST} times and took a lower learning rate "
        f"each time"
        if times >= MOST
        else "its last one, before any validation gave a finite number"
    )
    return UnnoiseError(
        f"the training diverged at step {step}, {tried}; look for extreme pixels with "
        f"unnoise inspect, or try a lower training.learning_rate (now {rate:g})"
    )


def remark(times: int) -> list[str]:
    """What a finished run says of it."""
    if not times:
        return []
    which = "a step or validation" if times == 1 else f"{times} steps or validations"
    return [
        f"{which} of the training gave no finite number; it went back to its last good weights and "
        f"a lower learning rate"
    ]
