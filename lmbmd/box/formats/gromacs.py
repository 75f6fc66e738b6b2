"""A box for GROMACS: topol.top, conf.gro, minim.mdp and md.mdp."""

from __future__ import annotations

import math

from openmm import app

from lmbmd.box.pdb import residue_names
from lmbmd.box.read import Box, edges_nm, elements_in_molecule, names_in_molecule
from lmbmd.data.bonds import near_pairs
from lmbmd.data.terms import PlainTerms
from lmbmd.forcefield.mixing import GROMACS_RULES

#: Bonds within which GROMACS leaves pairs out by itself.
NREXCL = 3


def gromacs_files(box: Box) -> dict[str, str]:
    """Texts by file name.

    Every 1–4 pair is written out with its own charge product (``[ pairs ]`` of type 2), because species of one box
    scale 1–4 pairs differently, which GROMACS' ``fudgeQQ`` cannot say. The switch of the Lennard-Jones potential is the
    same polynomial in both programs (``vdw-modifier = Potential-switch``).
    """
    return {
        "topol.top": topology(box),
        "conf.gro": _gro(box),
        "minim.mdp": _mdp(box, "minimise"),
        "md.mdp": _mdp(box, "md"),
    }


def topology(box: Box) -> str:
    """The whole topology, without includes."""
    rule = next(number for number, name in GROMACS_RULES.items() if name == box.combining_rule)
    lines = ["; written by lmbmd export", "[ defaults ]", "; nbfunc  comb-rule  gen-pairs", f"1 {rule} no 1.0 1.0", ""]
    lines += ["[ atomtypes ]", "; name  number  mass  charge  ptype  sigma (nm)  epsilon (kJ/mol)"]
    names = box.names
    for s, terms in enumerate(box.species):
        rows = zip(_types(box, s), elements_in_molecule(box, s), terms.masses, terms.nonbonded, strict=True)
        for kind, element, mass, (_, sigma, epsilon) in rows:
            number = app.Element.getBySymbol(element).atomic_number
            lines.append(f"{kind} {number} {mass!r} 0.0 A {sigma!r} {epsilon!r}")
    for s in range(len(names)):
        lines += ["", *_molecule(box, s)]
    lines += ["", "[ system ]", f"{' '.join(names)}", "", "[ molecules ]"]
    return "\n".join([*lines, *(f"{names[s]} {count}" for s, count in box.runs), ""])


def _types(box: Box, species: int) -> list[str]:
    return [f"{box.names[species]}_{name}" for name in names_in_molecule(box, species)]


def _molecule(box: Box, s: int) -> list[str]:
    terms, names = box.species[s], names_in_molecule(box, s)
    residues = residue_names(box.atoms)
    mine = box.atoms_of(s)
    residue = [residues[species] for species in box.atoms.species_id[mine].tolist()]
    number = (box.atoms.unit[mine] - box.atoms.unit[mine][0] + 1).tolist()
    by_bonds = _excluded_by_bonds(terms)
    lines = ["[ moleculetype ]", f"{box.names[s]} {NREXCL if by_bonds else 0}", "", "[ atoms ]"]
    for i, (kind, name, mass, (q, *_)) in enumerate(
        zip(_types(box, s), names, terms.masses, terms.nonbonded, strict=True), start=1
    ):
        lines.append(f"{i} {kind} {number[i - 1]} {residue[i - 1]} {name} {i} {q!r} {mass!r}")
    sections = {
        "bonds": [f"{_at(row, 2)} 1 {row[2]!r} {row[3]!r}" for row in terms.bonds],
        "angles": [f"{_at(row, 3)} 1 {math.degrees(row[3])!r} {row[4]!r}" for row in terms.angles],
        "dihedrals": [f"{_at(row, 4)} 9 {math.degrees(row[5])!r} {row[6]!r} {row[4]}" for row in terms.torsions],
        # Type 2: factor, two charges whose product it scales, sigma, epsilon.
        "pairs": [f"{_at(e, 2)} 2 1.0 {e[2]!r} 1.0 {e[3]!r} {e[4]!r}" for e in terms.exceptions if e[2] or e[4]],
        "exclusions": [] if by_bonds else [_at(e, 2) for e in terms.exceptions],
    }
    for section, rows in sections.items():
        if rows:
            lines += ["", f"[ {section} ]", *rows]
    return lines


def _excluded_by_bonds(terms: PlainTerms) -> bool:
    """Whether the exceptions are exactly the pairs up to three bonds apart."""
    near = near_pairs(len(terms.masses), (row[:2] for row in terms.bonds), NREXCL)
    return near.keys() == {(min(e[:2]), max(e[:2])) for e in terms.exceptions}


def _at(row: tuple, ends: int) -> str:
    return " ".join(str(i + 1) for i in row[:ends])


def _gro(box: Box) -> str:
    residues = residue_names(box.atoms)
    lines = ["written by lmbmd export", str(len(box.atoms))]
    rows = zip(
        box.atoms.species_id.tolist(),
        box.atoms.unit.tolist(),
        box.atoms.name.tolist(),
        (box.positions_A / 10).tolist(),
        strict=True,
    )
    for i, (species, unit, name, (x, y, z)) in enumerate(rows, start=1):
        head = f"{(unit + 1) % 100_000:5d}{residues[species]:<5s}{name:>5.5s}{i % 100_000:5d}"
        lines.append(f"{head}{x:10.5f}{y:10.5f}{z:10.5f}")
    return "\n".join([*lines, " ".join(f"{edge:.6f}" for edge in edges_nm(box)), ""])


def _mdp(box: Box, kind: str) -> str:
    common = f"""
cutoff-scheme    = Verlet
rlist            = {box.cut_off_nm + 0.1:g}
coulombtype      = PME
rcoulomb         = {box.cut_off_nm:g}
fourierspacing   = 0.1
ewald-rtol       = 1e-5
vdwtype          = Cut-off
vdw-modifier     = Potential-switch
rvdw-switch      = {box.switch_from_nm:g}
rvdw             = {box.cut_off_nm:g}
DispCorr         = EnerPres
"""
    if kind == "minimise":
        return f"integrator       = steep\nnsteps           = 1000\nemtol            = 500\n{common.lstrip()}"
    return f"""integrator       = md
dt               = 0.002
nsteps           = 500000
nstxout-compressed = 500
nstenergy        = 500
constraints      = h-bonds
tcoupl           = V-rescale
tc-grps          = System
tau-t            = 1.0
ref-t            = {box.temperature_K:g}
pcoupl           = C-rescale
tau-p            = 5.0
ref-p            = {box.pressure_bar:g}
compressibility  = 8e-5
gen-vel          = yes
gen-temp         = {box.temperature_K:g}
{common.lstrip()}"""
