"""Still pictures of shells and clusters: for print, for readers without scripts, and before a view is turned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lmbmd.report.figures.drawing import Drawing
from lmbmd.report.figures.palette import INK, MUTED
from lmbmd.report.figures.scenes import Scene

#: Radii in Å as drawn: ions without bonds, heavy atoms, hydrogens; and how much thinner what is faint is drawn.
_ION_A, _HEAVY_A, _HYDROGEN_A, _THIN = 0.62, 0.36, 0.20, 0.45
#: Larger pictures show no hydrogens, and are drawn as pixels.
_MOST_ATOMS = 120
#: The picture is painted in this many layers, from far to near, the far ones paler.
_LAYERS = 12
_SIDE_IN = 3.0


def still(scene: Scene, colour: Mapping[str, str]) -> Drawing:
    """A ball-and-stick picture: a colour per species, pale where far, dashed lines for contacts."""
    shown = np.ones(len(scene.element), bool)
    large = len(scene.element) > _MOST_ATOMS
    if large:
        shown = np.array([e != "H" for e in scene.element])
    figure = Figure(figsize=(_SIDE_IN, _SIDE_IN * 0.8))
    ax = figure.add_axes((0, 0, 1, 1))
    half = np.abs(scene.xyz_A[:, :2]).max(axis=0) + 0.9
    scale = max(half[0], half[1] / 0.8)
    ax.set(xlim=(-scale, scale), ylim=(-0.8 * scale, 0.8 * scale))
    ax.set_axis_off()
    ax.set_rasterization_zorder(100 if large else None)
    _paint(ax, scene, colour, shown, _SIDE_IN * 72 / (2 * scale))
    data = pd.DataFrame(scene.xyz_A.round(3), columns=["x_A", "y_A", "z_A"])
    for place, (name, values) in enumerate(
        {"species": scene.species, "molecule": scene.molecule, "element": scene.element}.items()
    ):
        data.insert(place, name, values)
    return Drawing(scene.key, scene.title, scene.alt, scene.caption, data, figure)


def _paint(ax: Axes, scene: Scene, colour: Mapping[str, str], shown: np.ndarray, points_per_A: float) -> None:
    """Atoms and half bonds layer by layer, from far to near."""
    x = scene.xyz_A
    thin = np.where([name in scene.faint for name in scene.species], _THIN, 1.0)
    bonded = np.zeros(len(x), bool)
    bonded[scene.bonds.ravel()] = True
    hydrogen = np.array([e == "H" for e in scene.element])
    radius = np.where(bonded, np.where(hydrogen, _HYDROGEN_A, _HEAVY_A), _ION_A) * thin
    ink = np.array([to_rgb(colour.get(name, MUTED)) for name in scene.species])
    depth = x[:, 2]
    near = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9)
    layer = np.minimum((near * _LAYERS).astype(int), _LAYERS - 1)
    pale = ink + (1 - ink) * (0.45 * (1 - near) + 0.25 * (thin < 1))[:, None]
    bonds = scene.bonds[shown[scene.bonds].all(axis=1)] if len(scene.bonds) else scene.bonds
    middle = x[bonds].mean(axis=1)
    for level in range(_LAYERS):
        for end in (0, 1):
            here = bonds[:, end][layer[bonds[:, end]] == level]
            ends = np.stack([x[here, :2], middle[layer[bonds[:, end]] == level][:, :2]], axis=1)
            width = 2 * 0.13 * points_per_A * thin[here]
            ax.add_collection(LineCollection(list(ends), colors=pale[here], linewidths=width, zorder=2 + level))
        atoms = np.flatnonzero((layer == level) & shown)
        size = (2 * radius[atoms] * points_per_A) ** 2
        edges = 0.75 * pale[atoms]
        ax.scatter(
            x[atoms, 0], x[atoms, 1], s=size, c=pale[atoms], edgecolors=edges, linewidths=0.5, zorder=2.5 + level
        )
    if len(scene.contacts):
        lines = LineCollection(list(x[scene.contacts][:, :, :2]), colors=INK, linewidths=0.9, zorder=2 + _LAYERS)
        lines.set_linestyle((0, (1.5, 1.5)))
        ax.add_collection(lines)
