"""The templates of the report, in which every string is text: escaped, and fit for HTML.

They lie beside this file, as ``*.html.jinja``. What a template prints is escaped unless it is
`Markup` already, that is, the output of another template or something that holds numbers alone.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from unnoise.report.axis import short

if TYPE_CHECKING:
    from jinja2 import Environment

# Control characters, the ones that reverse the direction of text, and halves of surrogate pairs
# (which stand for undecodable bytes in file names): no HTML file may or should hold them.
UNFIT = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def fill(name: str, **values: Any) -> Markup:
    """A template of this package with the values in it.

    Examples
    --------
    >>> from unnoise.report.page_parts import Page
    >>> html = fill("page.html.jinja", page=Page('<b title="x">&</b>', "", ()), facts={}, policy="",
    ...             style="", script="", figures=[], charts=[], most_pictures=0)
    >>> "<title>&lt;b title=&#34;x&#34;&gt;&amp;&lt;/b&gt;</title>" in html
    True
    """
    return Markup(_environment().get_template(name).render(values))  # noqa: S704  it escapes


@functools.cache
def _environment() -> Environment:
    # Only here: a run without a report needs no templates.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("unnoise.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    return environment


def _fit(value: Any) -> Any:
    """What is about to be escaped and printed, without the characters that HTML must not hold."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return UNFIT.sub("\ufffd", value) if is_text else value
