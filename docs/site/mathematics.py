"""A hook of MkDocs: formulas become MathML when the site is built; browsers draw that without script or network."""

import html
import re

from math_core import LatexToMathML

TO_MATHML = LatexToMathML()
#: What pymdownx.arithmatex (generic) makes of $…$ and $$…$$.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(content: str, **_) -> str:
    return FORMULA.sub(mathml, content)


def mathml(found: re.Match) -> str:
    """A formula that cannot be read ends the build, with what is wrong in it."""
    return TO_MATHML.convert_with_local_state(html.unescape(found[3]), displaystyle=found[2] == "[")
