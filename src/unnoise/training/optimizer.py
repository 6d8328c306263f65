"""The optimisers: AdamW, Adam and gradient descent with momentum, over lists of tensors at once.

The steps are the functions of ``torch.optim``. Its classes load PyTorch's compiler when the first
one is made, 1.6 of the 4.3 CPU seconds from a command to its first training step; so what they
remember is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from unnoise.config.sections import Training

EPS = 1e-8
MOMENTUM = 0.9

Rule = Callable[
    [list[Tensor], list[Tensor], list[list[Tensor]], list[Tensor], float, Training], None
]
"""Changes weights in place: (weights, gradients, memories, steps with this one, rate, settings)."""


class Optimizer:
    """Weights, what the optimiser remembers of each, and one rule that changes both.

    A weight without a gradient (the net of another channel) stays as it is, and its steps do not
    count.

    Parameters
    ----------
    weights : iterable of Tensor
        Tensors to change.
    settings : Training
        Rate, betas and weight decay.
    rule : Rule
        One step, which also counts it.
    memories : int
        Tensors that the rule remembers for every weight.

    Attributes
    ----------
    param_groups : list of dict
        ``[{"params": weights, "lr": rate}]``, as gradient scalers expect.

    Examples
    --------
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = OPTIMIZERS["sgd"]([w], Training(learning_rate=0.1, weight_decay=0.0))
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 2)
    0.62
    """

    def __init__(
        self, weights: Iterable[Tensor], settings: Training, rule: Rule, memories: int
    ) -> None:
        self.weights, self.settings, self.rule = list(weights), settings, rule
        self.param_groups: list[dict[str, Any]] = [
            {"params": self.weights, "lr": settings.learning_rate}
        ]
        self.memories = [
            [torch.zeros_like(w, requires_grad=False) for w in self.weights]
            for _ in range(memories)
        ]
        self.steps = [torch.tensor(0.0) for _ in self.weights]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every weight that has a gradient."""
        at = [i for i, weight in enumerate(self.weights) if weight.grad is not None]
        if not at:
            return
        self.rule(
            [self.weights[i] for i in at],
            [grad for i in at if (grad := self.weights[i].grad) is not None],
            [[memory[i] for i in at] for memory in self.memories],
            [self.steps[i] for i in at],
            self.param_groups[0]["lr"],
            self.settings,
        )

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on, as tensors and plain values."""
        return {"steps": self.steps, "memories": self.memories}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        ValueError
            If it belongs to other weights.
        """
        shapes = [[tuple(m.shape) for m in memory] for memory in self.memories]
        if [[tuple(m.shape) for m in memory] for memory in state["memories"]] != shapes:
            raise ValueError("the optimiser remembers weights of other shapes")
        torch._foreach_copy_(self.steps, list(state["steps"]))
        for own, memory in zip(self.memories, state["memories"], strict=True):
            torch._foreach_copy_(own, [m.to(w.device) for m, w in zip(memory, own, strict=True)])


def _adam(
    w: list[Tensor],
    g: list[Tensor],
    memories: list[list[Tensor]],
    steps: list[Tensor],
    rate: float,
    t: Training,
    rule: Callable[..., None],
) -> None:
    """Kingma and Ba, ICLR 2015; AdamW: Loshchilov and Hutter, ICLR 2019."""
    rule(
        w,
        g,
        *memories,
        [],  # the largest squares, of AMSGrad alone
        steps,
        foreach=True,
        amsgrad=False,
        beta1=t.betas[0],
        beta2=t.betas[1],
        lr=rate,
        weight_decay=t.weight_decay,
        eps=EPS,
        maximize=False,
    )


def _sgd(
    w: list[Tensor],
    g: list[Tensor],
    memories: list[list[Tensor]],
    steps: list[Tensor],
    rate: float,
    t: Training,
) -> None:
    """Gradient descent with the momentum of Nesterov (Sutskever et al., ICML 2013)."""
    (speed,) = memories
    sgd(
        w,
        g,
        speed,  # type: ignore[arg-type]  # a list of tensors is one of tensors or None
        foreach=True,
        weight_decay=t.weight_decay,
        momentum=MOMENTUM,
        lr=rate,
        dampening=0.0,
        nesterov=True,
        maximize=False,
    )
    torch._foreach_add_(steps, 1)


OPTIMIZERS: dict[str, Callable[[Iterable[Tensor], Training], Optimizer]] = {
    "adamw": lambda weights, t: Optimizer(weights, t, partial(_adam, rule=adamw), 2),
    "adam": lambda weights, t: Optimizer(weights, t, partial(_adam, rule=adam), 2),
    "sgd": lambda weights, t: Optimizer(weights, t, _sgd, 1),
}
"""The optimisers by name, from weights and settings."""
