"""One small box, three LiNO3 and two molecules of methanol, as topology files of several programs; and one whose shells
are counted by hand, as a trajectory."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import yaml

# Three LiNO3 and two molecules of methanol: (element, name, x, y, z) and bonds of each.
NITRATE = (
    [("N", "N1", 0, 0, 0), ("O", "O1", 1.2, 0, 0), ("O", "O2", -0.6, 1, 0), ("O", "O3", -0.6, -1, 0)],
    [(0, 1), (0, 2), (0, 3)],
)
METHANOL = (
    [
        ("C", "C1", 0, 0, 0),
        ("O", "O1", 1.4, 0, 0),
        ("H", "H1", -0.5, 1, 0),
        ("H", "H2", -0.5, -0.5, 0.8),
        ("H", "H3", -0.5, -0.5, -0.8),
        ("H", "HO", 1.8, 0.9, 0),
    ],
    [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)],
)
LITHIUM = ([("Li", "LI", 0, 0, 0)], [])
BOX = 20.0
MASS = {"Li": 6.94, "N": 14.007, "O": 15.999, "C": 12.011, "H": 1.008}
CHARGE = {"Li": 0.8, "N": 0.4, "O": -0.4, "C": 0.1, "H": 0.075}
RESIDUES = [("LI", LITHIUM)] * 3 + [("NO3", NITRATE)] * 3 + [("MOH", METHANOL)] * 2
TYPES = ["Li", "N", "O", "C", "H"]


def box():
    """Rows (residue number, residue name, element, name, position Å) and bonds of the whole box."""
    rng = np.random.default_rng(2)
    rows, bonds = [], []
    for r, (name, (atoms, links)) in enumerate(RESIDUES):
        bonds += [(len(rows) + i, len(rows) + j) for i, j in links]
        here = rng.uniform(0, BOX, 3)
        rows += [(r + 1, name, e, n, here + np.array(x)) for e, n, *x in atoms]
    return rows, bonds


def pdb(path, conect=False):
    rows, bonds = box()
    lines = [f"CRYST1{BOX:9.3f}{BOX:9.3f}{BOX:9.3f}  90.00  90.00  90.00 P 1           1"]
    for i, (r, res, e, n, (x, y, z)) in enumerate(rows):
        lines.append(
            f"HETATM{i + 1:5d} {n:<4s} {res:<3s} A{r:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"  1.00  0.00          {e.upper():>2s}"
        )
    lines += [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in bonds] if conect else []
    path.write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    return path


def gro(path):
    rows, _ = box()
    lines = ["box", str(len(rows))]
    for i, (r, res, _, n, x) in enumerate(rows):
        lines.append(f"{r:5d}{res:<5s}{n:>5s}{i + 1:5d}" + "".join(f"{v / 10:8.3f}" for v in x))
    path.write_text("\n".join([*lines, "".join(f"{BOX / 10:10.5f}" * 3), ""]), encoding="utf-8")
    return path


def lammps_data(path):
    rows, bonds = box()
    lines = ["box", "", f"{len(rows)} atoms", f"{len(bonds)} bonds", "5 atom types", "1 bond types", ""]
    lines += [f"0 {BOX} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", "", *[f"{t + 1} {MASS[e]}" for t, e in enumerate(TYPES)], "", "Atoms # full", ""]
    lines += [
        f"{i + 1} {r} {TYPES.index(e) + 1} {CHARGE[e]} {x[0]} {x[1]} {x[2]}" for i, (r, _, e, _, x) in enumerate(rows)
    ]
    lines += ["", "Bonds", "", *[f"{k + 1} 1 {i + 1} {j + 1}" for k, (i, j) in enumerate(bonds)], ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def psf(path):
    rows, bonds = box()
    lines = ["PSF", "", "       1 !NTITLE", " REMARKS box", "", f"{len(rows):8d} !NATOM"]
    lines += [
        f"{i + 1:8d} {'A':<4s} {r:<4d} {res:<4s} {n:<4s} {e:<4s} {CHARGE[e]:10.6f} {MASS[e]:13.4f} {0:11d}"
        for i, (r, res, e, n, _) in enumerate(rows)
    ]
    lines += ["", f"{len(bonds):8d} !NBOND: bonds"]
    flat = [f"{i + 1:8d}" for bond in bonds for i in bond]
    lines += ["".join(flat[k : k + 8]) for k in range(0, len(flat), 8)]
    for section in ("NTHETA: angles", "NPHI: dihedrals", "NIMPHI: impropers", "NDON: donors", "NACC: acceptors"):
        lines += ["", f"{0:8d} !{section}", ""]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def prmtop(path):
    rows, bonds = box()
    residues = [r for r, *_ in rows]
    first = [residues.index(r) + 1 for r in sorted(set(residues))]
    hydrogen = [b for b in bonds if "H" in (rows[b[0]][2], rows[b[1]][2])]
    heavy = [b for b in bonds if b not in hydrogen]
    number = {"Li": 3, "N": 7, "O": 8, "C": 6, "H": 1}

    def section(flag, values, width, per_line):
        kind = {4: "(20a4)", 8: "(10I8)", 16: "(5E16.8)"}[width]
        made = [f"{v:<4s}" if width == 4 else f"{v:8d}" if width == 8 else f"{v:16.8E}" for v in values]
        body = ["".join(made[k : k + per_line]) for k in range(0, len(made), per_line)] or [""]
        return [f"%FLAG {flag}", f"%FORMAT{kind}", *body]

    pointers = [len(rows), 5, len(hydrogen), len(heavy), 0, 0, 0, 0, 0, 0, 0, len(first), len(heavy)] + [0] * 18
    pointers[27] = 1
    elements = [e for _, _, e, _, _ in rows]
    links = lambda pairs: [v for i, j in pairs for v in (3 * i, 3 * j, 1)]  # noqa: E731
    lines = ["%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/25  00:00:00", "%FLAG TITLE", "%FORMAT(20a4)", "box"]
    lines += section("POINTERS", pointers, 8, 10)
    lines += section("ATOM_NAME", [n for *_, n, _ in rows], 4, 20)
    lines += section("CHARGE", [18.2223 * CHARGE[e] for e in elements], 16, 5)
    lines += section("ATOMIC_NUMBER", [number[e] for e in elements], 8, 10)
    lines += section("MASS", [MASS[e] for e in elements], 16, 5)
    lines += section("ATOM_TYPE_INDEX", [TYPES.index(e) + 1 for e in elements], 8, 10)
    lines += section("RESIDUE_LABEL", [rows[k - 1][1] for k in first], 4, 20)
    lines += section("RESIDUE_POINTER", first, 8, 10)
    lines += section("BONDS_INC_HYDROGEN", links(hydrogen), 8, 10)
    lines += section("BONDS_WITHOUT_HYDROGEN", links(heavy), 8, 10)
    for name in (
        "ANGLES_INC_HYDROGEN",
        "ANGLES_WITHOUT_HYDROGEN",
        "DIHEDRALS_INC_HYDROGEN",
        "DIHEDRALS_WITHOUT_HYDROGEN",
    ):
        lines += section(name, [], 8, 10)
    lines += section("AMBER_ATOM_TYPE", elements, 4, 20)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


# Ions and solvents whose shells are counted by hand: see EXACT.
EXACT_EDGE_A = 40.0
EXACT_MAP = {
    "centre": "LI",
    "species": {
        "LI": {"resname": "LI"},
        "ANI": {"resname": "ANI", "formula": "CO", "role": "anion", "sites": {"O": "O"}},
        "SOL": {"resname": "SOL", "formula": "CO", "role": "solvent", "sites": {"O": "O"}},
    },
    "cutoffs": {"ANI-O": 2.5, "SOL-O": 2.5},
}
#: Li–A–Li, a Li–A pair through the box face with a solvent on its Li, one bare Li, one free anion, one free solvent.
#: (residue name, position of its first atom); an anion and a solvent have a carbon 1.4 Å along y from their oxygen.
EXACT_MOLECULES = [
    ("LI", (10, 10, 10)),
    ("LI", (14, 10, 10)),
    ("LI", (39, 20, 20)),
    ("LI", (25, 30, 30)),
    ("ANI", (12, 10, 10)),
    ("ANI", (1, 20, 20)),
    ("ANI", (30, 10, 30)),
    ("ANI", (20, 36, 10)),
    ("SOL", (37, 20, 20)),
    ("SOL", (5, 30, 30)),
]
EXACT = {
    ("anion_cn", "ANI"): 3 / 4,
    ("solvent_cn", "SOL"): 1 / 4,
    ("bare_centre_fraction", ""): 1 / 4,
    ("free_solvent_fraction", "SOL"): 1 / 2,
    ("ssip_fraction_centre", ""): 1 / 4,
    ("cip_fraction_centre", ""): 3 / 4,
    ("agg_fraction_centre", ""): 0.0,
    ("ssip_fraction_anion", ""): 1 / 2,
    ("cip_fraction_anion", ""): 1 / 4,
    ("agg_fraction_anion", ""): 1 / 4,
    ("ssip_fraction_cluster", ""): 1 / 4,
    ("cip_fraction_cluster", ""): 1 / 4,
    ("agg_fraction_cluster", ""): 1 / 2,
}


def exact_box(folder, frames=4, name="traj.xtc", begin_ps=0.0):
    """Topology, trajectory of equal frames 2 ps apart and species map of ``EXACT_MOLECULES``."""
    lines = [f"CRYST1{EXACT_EDGE_A:9.3f}{EXACT_EDGE_A:9.3f}{EXACT_EDGE_A:9.3f}  90.00  90.00  90.00 P 1           1"]
    for residue, (kind, (x, y, z)) in enumerate(EXACT_MOLECULES, start=1):
        for k, element in enumerate(["LI"] if kind == "LI" else ["O", "C"]):
            place = f"{x:8.3f}{y + 1.4 * k:8.3f}{z:8.3f}"
            start = f"HETATM{len(lines):5d} {element:>2s}   {kind:3s} A{residue:4d}"
            lines.append(f"{start}    {place}  1.00  0.00          {element:>2s}")
    (folder / "topology.pdb").write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    universe = mda.Universe(folder / "topology.pdb")
    with mda.Writer(str(folder / name), universe.atoms.n_atoms) as writer:
        for frame in range(frames):
            universe.trajectory.ts.frame, universe.trajectory.ts.time = frame, begin_ps + 2.0 * frame
            writer.write(universe.atoms)
    (folder / "species.yaml").write_text(yaml.safe_dump(EXACT_MAP, sort_keys=False), encoding="utf-8")
    return folder
