"""The optimisers: AdamW, Adam and gradient descent with momentum, over lists of tensors at once.

They are those of ``torch.optim``, whose classes load PyTorch's compiler when the first one is made:
1.6 of the 4.3 CPU seconds from a command to its first training step. The tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from unnoise.settings import Training

EPS = 1e-8
MOMENTUM = 0.9

Rule = Callable[[list[Tensor], list[Tensor], list[list[Tensor]], list[int], float, Training], None]
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
        The equations.
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
        self.steps = [0] * len(self.weights)

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
        for i in at:
            self.steps[i] += 1
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
        self.steps = [int(n) for n in state["steps"]]
        for own, memory in zip(self.memories, state["memories"], strict=True):
            torch._foreach_copy_(own, [m.to(w.device) for m, w in zip(memory, own, strict=True)])


def _adam(
    w: list[Tensor],
    g: list[Tensor],
    memories: list[list[Tensor]],
    steps: list[int],
    rate: float,
    t: Training,
    *,
    decoupled: bool,
) -> None:
    """Kingma and Ba, ICLR 2015; decoupled: Loshchilov and Hutter, ICLR 2019 (AdamW)."""
    (mean, square), (b1, b2) = memories, t.betas
    if decoupled:
        torch._foreach_mul_(w, 1 - rate * t.weight_decay)
    elif t.weight_decay:
        g = list(torch._foreach_add(g, w, alpha=t.weight_decay))
    torch._foreach_lerp_(mean, g, 1 - b1)
    torch._foreach_mul_(square, b2)
    torch._foreach_addcmul_(square, g, g, 1 - b2)
    # A young mean and square are corrected by c1 and c2. With r = sqrt(c2), a pass less than as
    # w -= rate * (m / c1) / (sqrt(s / c2) + eps): w -= rate * r / c1 * m / (sqrt(s) + eps * r).
    roots = [math.sqrt(1 - b2**n) for n in steps]
    below = torch._foreach_sqrt(square)
    torch._foreach_add_(below, [EPS * r for r in roots])
    rates = [-rate * r / (1 - b1**n) for n, r in zip(steps, roots, strict=True)]
    torch._foreach_addcdiv_(w, mean, below, rates)


def _adamw_rule(*args: Any) -> None:
    _adam(*args, decoupled=True)


def _adam_rule(*args: Any) -> None:
    _adam(*args, decoupled=False)


def _sgd_rule(
    w: list[Tensor],
    g: list[Tensor],
    memories: list[list[Tensor]],
    steps: list[int],
    rate: float,
    t: Training,
) -> None:
    """Gradient descent with the momentum of Nesterov (Sutskever et al., ICML 2013)."""
    (speed,) = memories
    if t.weight_decay:
        g = list(torch._foreach_add(g, w, alpha=t.weight_decay))
    torch._foreach_mul_(speed, MOMENTUM)
    torch._foreach_add_(speed, g)
    torch._foreach_add_(w, torch._foreach_add(g, speed, alpha=MOMENTUM), alpha=-rate)


OPTIMIZERS: dict[str, Callable[[Iterable[Tensor], Training], Optimizer]] = {
    "adamw": lambda weights, t: Optimizer(weights, t, _adamw_rule, 2),
    "adam": lambda weights, t: Optimizer(weights, t, _adam_rule, 2),
    "sgd": lambda weights, t: Optimizer(weights, t, _sgd_rule, 1),
}
"""The optimisers by name, from weights and settings."""
