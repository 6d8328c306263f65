"""A batch for which there is no memory goes through the net in parts, which give the same gradient.

The loss is a mean over the whole batch, so its gradient is the sum of what the parts add to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from unnoise.errors import warn
from unnoise.models.short_of_memory import is_out_of_memory


@dataclass
class BatchParts:
    """In how many parts the batches of a run go through its net.

    Attributes
    ----------
    count : int
        1 until memory runs out; it is doubled each time, and kept.
    """

    count: int = 1

    def over(
        self, size: int, work: Callable[[slice], Tensor], begin: Callable[[], object] = list
    ) -> list[Tensor]:
        """What `work` makes of every part of a batch of so many items.

        Parameters
        ----------
        size : int
        work : callable
            Takes the items of a part.
        begin : callable
            Called before the first part, and again before all is done anew in smaller parts.

        Raises
        ------
        RuntimeError, MemoryError
            If there is no memory for a single item.

        Examples
        --------
        >>> import torch
        >>> batch = torch.arange(4.0)
        >>> def work(part):
        ...     if len(batch[part]) > 2:
        ...         raise torch.OutOfMemoryError("CUDA out of memory")
        ...     return batch[part].sum()
        >>> parts = BatchParts()
        >>> from unnoise.images.quiet import quiet
        >>> with quiet():
        ...     parts.over(4, work), parts.count
        ([tensor(1.), tensor(5.)], 2)
        """
        while True:
            begin()
            try:
                return [work(part) for part in self._slices(size)]
            except (RuntimeError, MemoryError) as problem:
                if self.count >= size or not is_out_of_memory(problem):
                    raise
            self.count *= 2  # out here, as the error keeps what was computed in memory
            warn(
                f"there was not enough memory for a batch of {size}, so it goes through the net in "
                f"{len(self._slices(size))} parts: the result is the same but for the order of "
                f"sums, and the training takes longer"
            )

    def _slices(self, size: int) -> list[slice]:
        length = max(-(-size // self.count), 1)
        return [slice(start, start + length) for start in range(0, max(size, 1), length)]
