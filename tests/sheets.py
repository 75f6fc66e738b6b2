"""Molecules on a grid, as small files with chosen faults, and what comes of them."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import open_universe, species_map
from lmbmd.trajectory.mapping import matching

METHANOL = [
    ("C", "C1", (0.0, 0.0, 0.0)),
    ("O", "O1", (1.41, 0.0, 0.0)),
    ("H", "H1", (-0.36, 1.03, 0.0)),
    ("H", "H2", (-0.36, -0.51, 0.89)),
    ("H", "H3", (-0.36, -0.51, -0.89)),
    ("H", "HO", (1.75, 0.9, 0.0)),
]
METHANOL_BONDS = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)]
NITROGEN = [("N", "N1", (0.0, 0.0, 0.0)), ("N", "N2", (1.1, 0.0, 0.0))]


class Sheet:
    """Molecules on a grid 6 Å apart, so that distances tell them apart, as a PDB file with chosen residue numbers."""

    def __init__(self, *kinds):
        self.rows, self.bonds = [], []
        for residue, (name, atoms, bonds) in enumerate(kinds, 1):
            shift = np.array([residue % 4, residue // 4 % 4, residue // 16]) * 6.0 + 2.0
            self.bonds += [(len(self.rows) + i, len(self.rows) + j) for i, j in bonds]
            self.rows += [(residue, name, e, n, np.array(x) + shift) for e, n, x in atoms]

    def pdb(self, path, *, number=lambda residue: residue, conect=(), names=None, elements=True, frames=1):
        lines = ["CRYST1   26.000   26.000   26.000  90.00  90.00  90.00 P 1           1"]
        for model in range(frames):
            lines += [f"MODEL {model + 1}"] if frames > 1 else []
            for i, (r, res, e, n, (x, y, z)) in enumerate(self.rows):
                shown = names[i] if names else n
                lines.append(
                    f"HETATM{i + 1:5d} {shown:<4s} {res:<3s} A{number(r):4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
                    f"  1.00  0.00          {e.upper() if elements else '':>2s}"
                )
            lines += ["ENDMDL"] if frames > 1 else []
        lines += [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in conect]
        path.write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
        return path


ION = ("LI", [("Li", "LI", (0.0, 0.0, 0.0))], [])
CHLORIDE = ("CL", [("Cl", "CL", (0.0, 0.0, 0.0))], [])
MEOH = ("MOH", METHANOL, METHANOL_BONDS)
GAS = ("N2", NITROGEN, [(0, 1)])
MAP = """
centre: LI
species:
  LI: {resname: LI}
  CL: {resname: CL, role: anion, sites: {Cl: Cl}}
  MeOH: {resname: MOH, role: solvent, sites: {O: O}}
"""
SALTY = Sheet(ION, ION, CHLORIDE, CHLORIDE, *[MEOH] * 6)


def table(source, text, tmp_path):
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    universe = source if isinstance(source, mda.Universe) else open_universe(source)
    return matching.atom_table(universe, species_map.load(tmp_path / "map.yaml"))[0]


def asked(match, source, text, tmp_path):
    with pytest.raises(LmbmdError, match=match):
        table(source, text, tmp_path)


def trajectory(tmp_path, name, dt=5.0, **options):
    topology = SALTY.pdb(tmp_path / "top.pdb")
    u = mda.Universe(str(topology))
    if name.endswith(".h5md"):
        options["timeunit"] = "ps"  # which a PDB file does not have
    with mda.Writer(str(tmp_path / name), u.atoms.n_atoms, dt=dt, **options) as out:
        for k in range(3):
            u.trajectory.ts.time = k * dt
            u.trajectory.ts.frame = k
            out.write(u.atoms)
    return topology, tmp_path / name


def dump(path, steps=(0, 500, 1000), head=(), columns="id type xu yu zu", bounds="pp pp pp", opener=open):
    lines = []
    for step in steps:
        lines += [*head, "ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(SALTY.rows))]
        lines += [f"ITEM: BOX BOUNDS {bounds}", "0 26", "0 26", "0 26", f"ITEM: ATOMS {columns}"]
        lines += [f"{i + 1} 1 {x} {y} {z}" for i, (*_, (x, y, z)) in enumerate(SALTY.rows)]
    with opener(path, "wt", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))
    return path
