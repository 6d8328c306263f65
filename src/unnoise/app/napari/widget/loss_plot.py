"""The loss of a running training, as a small plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Validation = tuple[int, "float | None", "float | None"]
"""Step, loss and held-out loss."""
CURVES = (("training", "#7f9fbf"), ("held out", "#e08214"))
"""Name and colour of the loss and of the held-out loss, told apart in dark and light."""


class LossPlot(FigureCanvasQTAgg):
    """Loss and held-out loss over steps, in the colours of the window."""

    def __init__(self) -> None:
        super().__init__(Figure(figsize=(3, 1.5), layout="constrained"))
        self.setMinimumHeight(130)
        self.setAccessibleName("loss over steps")
        self._axes = self.figure.subplots()
        self._lines = [
            self._axes.plot([], [], color=color, label=name, lw=1.4)[0] for name, color in CURVES
        ]
        self.setVisible(False)

    def show_history(self, history: Sequence[Validation]) -> None:
        """Draw what is known so far; with less than three validations there is no curve."""
        self.setVisible(len(history) > 2)
        if len(history) < 3:
            return
        for i, line in enumerate(self._lines, 1):
            known = np.array([(p[0], p[i]) for p in history if p[i] is not None], float)
            line.set_data(*known.reshape(-1, 2).T)
        self._dress()
        self._axes.relim()
        self._axes.autoscale_view()
        self.draw_idle()

    def _dress(self) -> None:
        """The colours of the window, which may have changed."""
        ink = self.palette().text().color().name()
        self.figure.patch.set_facecolor(self.palette().window().color().name())
        self._axes.set_facecolor("none")
        self._axes.tick_params(colors=ink, labelsize=7)
        self._axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        self._axes.yaxis.set_major_locator(MaxNLocator(3))
        self._axes.set_xlabel("step", color=ink, fontsize=7)
        for side, spine in self._axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(ink)
        drawn = [line for line in self._lines if np.size(line.get_xdata())]
        legend = self._axes.legend(handles=drawn, frameon=False, fontsize=7, loc="upper right")
        for text in legend.get_texts():
            text.set_color(ink)
