"""A figure as it leaves the program: one look, text kept as text, the same bytes for the same numbers."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lmbmd.numbers.doubt import Kind
from lmbmd.report.figures.palette import INK, MUTED, RULE

#: Width and height in inches: one of three in a row, one of two.
SMALL = (3.3, 2.5)
MEDIUM = (4.7, 3.0)

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lmbmd",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "path.simplify": True,
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with the words that go with it.

    Attributes:
        name: file stem and anchor, unique on its page.
        title: what it shows.
        alt: the same in numbers, for readers who do not see it.
        caption: how to read it; may be empty.
        data: what is plotted, written beside it as CSV.
        figure: the drawing.
    """

    name: str
    title: str
    alt: str
    caption: str
    data: pd.DataFrame
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """A standalone SVG file."""
        buffer, canvas = io.BytesIO(), FigureCanvasSVG(self.figure)
        with styled():
            if engine := self.figure.get_layout_engine():
                # Laid out by hand: matplotlib would draw everything once more to do so.
                self.figure.set_dpi(72)
                engine.execute(self.figure)
                self.figure.set_layout_engine(None)
            canvas.figure.savefig(buffer, format="svg", dpi=72, metadata={"Date": None, "Creator": None})
        return buffer.getvalue().decode("utf-8")

    def inline(self) -> str:
        """The SVG as an element of an HTML page: named for screen readers, ids prefixed with its own name."""
        return _inline(self.svg, self.name, self.title, self.alt)


@contextmanager
def styled() -> Iterator[None]:
    """The look of all figures. Drawing and saving must happen inside."""
    with matplotlib.rc_context(_STYLE):
        yield


#: Where to draw: on Axes that are there, or in a new figure, which this makes (``Figure``, or one that pyplot shows).
On = Axes | Callable[..., Figure]


def axes(size: tuple[float, float] = SMALL, on: On = Figure) -> tuple[Figure, Axes]:
    """The Axes to draw on and their figure; a new one has one panel, and this width and height in inches."""
    if isinstance(on, Axes):
        return cast(Figure, on.figure), on
    figure = on(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def thinned(frame: pd.DataFrame, most: int = 500) -> tuple[pd.DataFrame, int]:
    """Every k-th row, at most ``most`` of them, and k; no averaging, so that the scatter stays what it is."""
    step = max(1, math.ceil(len(frame) / most))
    return frame.iloc[::step], step


def errors(frame: pd.DataFrame, column: str = "error") -> np.ndarray:
    """An error column fit for drawing: one that is unknown (NaN), or not to be relied on, draws no bar."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    found = frame[column].to_numpy(float)
    return np.where(doubtful(frame), np.nan, found)


def doubtful(frame: pd.DataFrame) -> np.ndarray:
    """Which rows of a table have an error that is not to be relied on."""
    if "doubt_kind" not in frame.columns:
        return np.zeros(len(frame), bool)
    return (frame["doubt_kind"] != "").to_numpy()


def without_bars(frame: pd.DataFrame, mark: str = "whisker") -> str:
    """What a caption says if some of the values of a figure have no error to show; "" if all have one."""
    said = doubtful(frame) & (frame.get("doubt_kind") != Kind.NOT_QUOTED)  # of a run too short, the page says so once
    return f" Without a {mark}: the error is not known or not reliable." if said.any() else ""


def headroom(values: pd.Series, error: np.ndarray) -> float:
    """Upper end of an axis that leaves room above the tallest error bar."""
    return 1.08 * max(float(np.nanmax(values.to_numpy(float) + np.nan_to_num(error), initial=0.0)), 1e-3)


def drop_spine_grid(ax: Axes, *, axis: Literal["x", "y"]) -> None:
    """Grid only along one axis ("x" or "y"), for horizontal or vertical bars."""
    ax.grid(False)
    ax.grid(True, axis=axis)


def titled(ax: Axes, title: str, columns: int = 0) -> None:
    """A title and, under it, a legend of that many columns (none if 0)."""
    ax.set_title(title)
    if not columns:
        return
    lines = math.ceil(len(ax.get_legend_handles_labels()[0]) / columns)
    ax.set_title(title, pad=8 + 15 * lines)
    spacing = {"borderaxespad": 0.2, "handlelength": 1.1, "columnspacing": 1.2, "labelspacing": 0.3, "borderpad": 0.1}
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, **spacing)


ERROR_BAR: dict[str, Any] = {"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5, "capthick": 1.0}


def _inline(svg: str, name: str, title: str, alt: str) -> str:
    """matplotlib's SVG as an element of an HTML page, which needs no namespaces and no ids that nothing refers to."""
    root = ElementTree.fromstring(svg)
    root[:] = [child for child in root if _local(child.tag) != "metadata"]
    elements = list(root.iter())
    for element in elements:
        element.tag = _local(element.tag)
        element.attrib = {_local(key): " ".join(value.split()) for key, value in element.attrib.items()}
        if element.tag not in ("text", "tspan", "style"):
            element.text = None
        element.tail = "\n"
    used = {
        match[1] for element in elements for value in element.attrib.values() for match in _REFERENCE.finditer(value)
    }
    for element in elements:
        for key, value in element.attrib.items():
            element.attrib[key] = _REFERENCE.sub(lambda match: match[0].replace("#", f"#{name}-"), value)
            if key in ("d", "x", "y", "transform", "points"):
                # Hundredths of a point are invisible; dropping the rest halves the page.
                element.attrib[key] = re.sub(r"(\.\d\d)\d+", r"\1", value)
            elif key == "style" and element.tag == "text":
                element.attrib[key] = _in_page_font(value)
        if (own := element.attrib.pop("id", "")) in used:
            element.attrib["id"] = f"{name}-{own}"
    box = root.attrib["viewBox"]
    root.attrib = {
        "viewBox": box,
        "class": "plot",
        "style": f"max-width:{float(box.split()[2]) * 96 / 72 * 1.15:.0f}px",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for tag, text in (("desc", alt), ("title", title)):
        words = ElementTree.Element(tag, id=f"{name}-{tag}")
        words.text = text
        root.insert(0, words)
    root.tail = None
    return ElementTree.tostring(root, encoding="unicode")


#: A place in an attribute that names another element of the same file.
_REFERENCE = re.compile(r"(?:^|url\()#([^)]+)")


def _local(name: str) -> str:
    """A tag or an attribute without its namespace."""
    return name.rpartition("}")[2]


def _in_page_font(style: str) -> str:
    """Text is laid out in the page's own font, which is never wider than the one measured here."""
    given = dict(part.split(": ", 1) for part in style.split("; "))
    return "; ".join(f"{key}: {value}" for key, value in (given | {"font-family": "var(--figure-font)"}).items())
