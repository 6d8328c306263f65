"""Strings of unknown origin as HTML, and numbers as people read them."""

from __future__ import annotations

import html
import math
import re

# Control characters, the ones that reverse the direction of text, and halves of surrogate pairs
# (which stand for undecodable bytes in file names): no HTML file may or should hold them.
UNFIT = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def escape(text: str) -> str:
    """Text that is safe between tags and in quoted attributes, in HTML and SVG.

    Examples
    --------
    >>> escape('<b title="x">&</b>')
    '&lt;b title=&quot;x&quot;&gt;&amp;&lt;/b&gt;'
    """
    return html.escape(UNFIT.sub("\ufffd", text), quote=True)


def short(value: float) -> str:
    """A number with about four digits and a true minus sign.

    Examples
    --------
    >>> short(0.123456), short(65535.0), short(1e-7)
    ('0.1235', '65535', '1e−7')
    """
    if not math.isfinite(value):
        return "not finite"
    rounded = round(value)
    whole = abs(value) < 1e6 and abs(value - rounded) < 1e-9 * max(abs(value), 1e-3)
    text = str(rounded) if whole else f"{value:.4g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "\u2212")
