"""What the 3-D views show: the snapshots of the describe stage, turned to their broad side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmbmd.core import rounding
from lmbmd.core.words import counted
from lmbmd.report.inputs import StatePoint, doubt_of, molecules_of
from lmbmd.report.words import naming


@dataclass(frozen=True, eq=False)
class Scene:
    """One snapshot, ready to be drawn.

    Attributes:
        key: unique on its page, made of letters, digits, points and hyphens.
        title, alt, caption: words for the figure.
        species: of each atom.
        molecule: of each atom, int64.
        element: of each atom.
        xyz_A: (n, 3), the centre of the atoms at the origin, the longest direction along x, the shortest along z.
        bonds: (m, 2) bonded atoms.
        contacts: (m, 2) centre and donor atom.
        faint: species that are drawn thin because the picture is about the others.
        files: coordinate files, relative to the folder of the page.
        replica: that it was cut out of.
    """

    key: str
    title: str
    alt: str
    caption: str
    species: tuple[str, ...]
    molecule: np.ndarray
    element: tuple[str, ...]
    xyz_A: np.ndarray
    bonds: np.ndarray
    contacts: np.ndarray
    faint: frozenset[str]
    files: tuple[str, ...]
    replica: str = ""

    def model(self, colour: Mapping[str, str]) -> dict[str, Any]:
        """Plain data for the viewer: atoms as flat lists, colours by species."""
        names = list(dict.fromkeys(self.species))
        return {
            "title": self.title,
            "alt": self.alt,
            "species": names,
            "shown": [naming.species(name) for name in names],
            "colours": [colour.get(name, "#52606d") for name in names],
            "faint": [name in self.faint for name in names],
            "of": [names.index(name) for name in self.species],
            "element": list(self.element),
            "xyz": self.xyz_A.round(2).ravel().tolist(),
            "bonds": self.bonds.ravel().tolist(),
            "contacts": self.contacts.ravel().tolist(),
        }


def shell_scenes(point: StatePoint) -> list[Scene]:
    """The most frequent shells that were cut out, by rank, each with its share of all shells."""
    table = point.table("shells")
    if table is None:
        return []
    rows = table.drop_duplicates("label").set_index("label")
    scenes = []
    for record in _records(point, "shell"):
        if record["label"] not in rows.index:
            continue
        row = rows.loc[record["label"]]
        inside, centre = molecules_of(row), naming.species(record["species"][0][0])
        share = rounding.percent(row.fraction, row.error, not doubt_of(row))
        title = f"{naming.shell(inside)}"
        rank = "" if row["rank"] == 1 else f"{rounding.ordinal(int(row['rank']))} "
        caption = f"{share} of all shells, the {rank}most frequent. {_where(record)}"
        alt = f"3-D picture of one {centre} with its first shell, {title}: {_seen(record, point)}."
        scenes.append(_scene(point, record, title, alt, caption, frozenset()))
    return scenes


def cluster_scenes(point: StatePoint, roles: Mapping[str, str]) -> list[Scene]:
    """The largest finite cluster that was cut out; the molecules bound to its centres are drawn thin."""
    scenes = []
    for record in _records(point, "cluster"):
        faint = frozenset(name for name, _ in record["species"] if roles.get(name) not in ("cation", "anion"))
        charge = f"{record['charge_e']:+d} e".replace("-", "−") if record["charge_e"] else "0"
        caption = (
            f"The largest finite cluster among the sampled frames of the replica, net charge {charge}; molecules bound "
            f"to its {naming.centres(point.centre)} are drawn thin. {_where(record)}"
        )
        alt = f"3-D picture of the largest cluster, {record['label']}, with bound molecules: {_seen(record, point)}."
        scenes.append(_scene(point, record, f"Cluster of {record['label']}", alt, caption, faint))
    return scenes


def _records(point: StatePoint, kind: str) -> list[Mapping[str, Any]]:
    return [record for record in point.snapshots if str(record["name"]).startswith(f"{kind}")]


def _where(record: Mapping[str, Any]) -> str:
    return f"Replica {record['replica']}, {rounding.duration(float(record['time_ps']))}."


def _seen(record: Mapping[str, Any], point: StatePoint) -> str:
    """Molecules and contacts of a record in words."""
    count: dict[str, int] = {}
    for name, _ in record["species"]:
        count[name] = count.get(name, 0) + 1
    molecules = ", ".join(f"{n} {naming.species(name)}" for name, n in count.items())
    n = len(record["contacts"])
    return f"{molecules}; {counted(n, 'contact')} of {naming.centres(point.centre)} with donor atoms"


def _scene(
    point: StatePoint, record: Mapping[str, Any], title: str, alt: str, caption: str, faint: frozenset[str]
) -> Scene:
    sizes = [n for _, n in record["species"]]
    own = [f"snapshots/{record['name']}{suffix}" for suffix in (".pdb", ".xyz")]
    if record["bonds"] is None:
        caption += " Bonds are not drawn: this box was built without a list of them."
    return Scene(
        key=f"{point.label}-view-{naming.slug(record['name'])}",
        title=title,
        alt=alt,
        caption=caption,
        species=tuple(name for name, n in record["species"] for _ in range(n)),
        molecule=np.repeat(np.arange(len(sizes)), sizes),
        element=tuple(map(str, record["element"])),
        xyz_A=turned(np.array(record["xyz_A"], float).reshape(-1, 3)),
        bonds=np.array(record["bonds"] or [], np.int64).reshape(-1, 2),
        contacts=np.array(record["contacts"], np.int64).reshape(-1, 2),
        faint=faint,
        files=tuple(file for name in own for file in point.files if f"/{file}".endswith(f"/{name}")),
        replica=str(record["replica"]),
    )


def turned(xyz_A: np.ndarray) -> np.ndarray:
    """The same points about their centre, longest direction along x and shortest along z, never mirrored."""
    x = xyz_A - xyz_A.mean(axis=0)
    if len(x) < 3:
        return x
    axes = np.linalg.svd(x, full_matrices=False)[2]
    # The sign of a singular vector is arbitrary: its largest component is made positive, so that bytes repeat.
    axes *= np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])[:, None]
    if np.linalg.det(axes) < 0:
        axes[2] *= -1
    return x @ axes.T
