"""A box for LAMMPS: data.lmp and in.lmp, in real units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lmbmd.box.read import Box, edges_nm, elements_in_molecule
from lmbmd.core.errors import LmbmdError
from lmbmd.data.bonds import near_pairs
from lmbmd.data.terms import PlainTerms
from lmbmd.forcefield.mixing import mixed_sigma

KJ_PER_KCAL = 4.184
NM_A = 10.0
SCALED_STEPS = 3
#: σ of a pair without Lennard-Jones interaction, Å; its ε is 0.
ANY_SIGMA_A = 1.0


@dataclass
class _Kinds:
    """Kinds of terms, numbered from 1 as they appear."""

    numbers: dict[tuple, int] = field(default_factory=dict)

    def number(self, *values: object) -> int:
        return self.numbers.setdefault(values, len(self.numbers) + 1)


@dataclass
class _Kit:
    """All kinds of a box, the 1–4 parameters of each pair of atom types, and each species' rows."""

    atoms: _Kinds = field(default_factory=_Kinds)
    bonds: _Kinds = field(default_factory=_Kinds)
    angles: _Kinds = field(default_factory=_Kinds)
    dihedrals: _Kinds = field(default_factory=_Kinds)
    scaled: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    rows: list[dict[str, list[tuple]]] = field(default_factory=list)


def lammps_files(box: Box) -> dict[str, str]:
    """Texts by file name.

    1–4 pairs differ between species in their factors and mixing. They are therefore written as LAMMPS' CHARMM styles
    have them: special bonds are off, one dihedral per 1–4 pair carries its Coulomb factor as weight, and
    ``lj/charmm/coul/long`` holds σ and ε of each 1–4 pair (ε over the weight), while ``lj/cut`` does the
    Lennard-Jones interaction between molecules with its tail correction. LAMMPS has no switch like OpenMM's: the
    potential is cut at the cut-off.

    Raises:
        LmbmdError: for a phase that is no whole number of degrees, or 1–4 pairs that the CHARMM styles cannot hold.
    """
    kit = _Kit()
    for s in range(len(box.species)):
        kit.rows.append(_species_rows(box, s, kit))
    return {"data.lmp": _data(box, kit), "in.lmp": _input(box, kit)}


def _species_rows(box: Box, s: int, kit: _Kit) -> dict[str, list[tuple]]:
    """Rows (kind, atoms …) of one molecule; kinds are entered into the kit."""
    terms, name = box.species[s], box.names[s]
    elements = elements_in_molecule(box, s)
    near = _near(terms)
    if any((min(e[:2]), max(e[:2])) not in near for e in terms.exceptions):
        raise LmbmdError(
            f"{name} leaves out pairs beyond three bonds.", where="--to lammps", remedy="Export to GROMACS."
        )
    if _lacks_near_pairs(terms):
        raise LmbmdError(
            f"{name} has 1-4 pairs that interact in full.",
            where="--to lammps",
            remedy="The inputs for LAMMPS would leave them out: export to GROMACS.",
        )
    types = [
        kit.atoms.number(name, element, sigma, epsilon, mass)
        for element, mass, (_, sigma, epsilon) in zip(elements, terms.masses, terms.nonbonded, strict=True)
    ]
    rows: dict[str, list[tuple]] = {"types": [(t,) for t in types], "bonds": [], "angles": [], "dihedrals": []}
    for i, j, r0, k in terms.bonds:
        kind = kit.bonds.number(k / 2 / KJ_PER_KCAL / NM_A**2, r0 * NM_A)
        rows["bonds"].append((kind, i, j))
    for i, j, k, theta, force in terms.angles:
        rows["angles"].append((kit.angles.number(force / 2 / KJ_PER_KCAL, math.degrees(theta)), i, j, k))
    weights = _weights(terms, types, kit, name)
    for i, j, k, m, n, phase, force in terms.torsions:
        degrees = math.degrees(phase)
        if abs(degrees - round(degrees)) > 1e-4:  # AMBER's files have pi as 3.141594, which is 180.00008 degrees
            raise LmbmdError(
                f"{name} has a torsion with a phase of {degrees:g} degrees.",
                where="--to lammps",
                remedy="LAMMPS' charmm dihedrals take whole degrees: export to GROMACS.",
            )
        weight = weights.pop((min(i, m), max(i, m)), 0.0)
        rows["dihedrals"].append((kit.dihedrals.number(force / KJ_PER_KCAL, n, round(degrees), weight), i, j, k, m))
    for (i, m), weight in weights.items():  # 1–4 pairs without a torsion
        rows["dihedrals"].append((kit.dihedrals.number(0.0, 1, 0, weight), *_path(terms, i, m)))
    return rows


def _near(terms: PlainTerms) -> dict[tuple[int, int], int]:
    return near_pairs(len(terms.masses), (row[:2] for row in terms.bonds), SCALED_STEPS)


def _lacks_near_pairs(terms: PlainTerms) -> bool:
    """Whether a pair within three bonds has no exception: special bonds, which are off, would drop it."""
    known = {(min(e[:2]), max(e[:2])) for e in terms.exceptions}
    return any(pair not in known for pair in _near(terms))


def _weights(terms: PlainTerms, types: list[int], kit: _Kit, name: str) -> dict[tuple[int, int], float]:
    """Coulomb factor of each 1–4 pair; enters σ and ε of the pair's types into the kit."""
    found: dict[tuple[int, int], float | None] = {}
    unscaled = []
    for i, j, product, sigma, epsilon in terms.exceptions:
        if not (product or epsilon):
            continue
        charges = terms.nonbonded[i][0] * terms.nonbonded[j][0]
        pair = (min(i, j), max(i, j))
        found[pair] = round(product / charges, 9) if charges else None
        unscaled.append((pair, tuple(sorted((types[i], types[j]))), sigma, epsilon))
    known = {w for w in found.values() if w}
    weights = {pair: max(known, default=1.0) if w is None else w for pair, w in found.items()}
    for pair, kinds, sigma, epsilon in unscaled:
        if weights[pair] == 0 and epsilon:
            raise LmbmdError(
                f"{name} has 1-4 pairs without Coulomb interaction.", where="--to lammps", remedy="Export to GROMACS."
            )
        entry = (sigma * NM_A, epsilon / KJ_PER_KCAL / (weights[pair] or 1.0))
        old = kit.scaled.setdefault(kinds, entry)
        if any(abs(a - b) > 1e-9 for a, b in zip(old, entry, strict=True)):
            raise LmbmdError(
                f"{name} has 1-4 pairs of one kind with different parameters.",
                where="--to lammps",
                remedy="Export to GROMACS.",
            )
    return weights


def _path(terms: PlainTerms, i: int, m: int) -> tuple[int, int, int, int]:
    """Four atoms bonded in a row from ``i`` to ``m``."""
    near: dict[int, set[int]] = {}
    for a, b, *_ in terms.bonds:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    return next((i, j, k, m) for j in sorted(near[i]) for k in sorted(near[m]) if k in near[j] and j != m and k != i)


def _data(box: Box, kit: _Kit) -> str:
    counts = dict.fromkeys(("bonds", "angles", "dihedrals"), 0)
    sections: dict[str, list[str]] = {"Atoms # full": [], "Bonds": [], "Angles": [], "Dihedrals": []}
    charges = box.atoms.charge_e.tolist()
    places = box.positions_A.tolist()
    start = 0
    for molecule, species in enumerate(box.kind.tolist(), start=1):
        rows = kit.rows[species]
        for i, (kind,) in enumerate(rows["types"], start=start):
            x, y, z = places[i]
            sections["Atoms # full"].append(f"{i + 1} {molecule} {kind} {charges[i]!r} {x:.6f} {y:.6f} {z:.6f}")
        for kind in counts:
            for number, *atoms in rows[kind]:
                counts[kind] += 1
                ends = " ".join(str(start + a + 1) for a in atoms)
                sections[kind.capitalize()].append(f"{counts[kind]} {number} {ends}")
        start += len(rows["types"])
    lines = ["written by lmbmd export", "", f"{start} atoms", *(f"{n} {kind}" for kind, n in counts.items())]
    lines += [f"{len(kit.atoms.numbers)} atom types"]
    lines += [f"{len(getattr(kit, k).numbers)} {k[:-1]} types" for k in counts]
    lines += [f"0.0 {edge * NM_A:.6f} {axis}lo {axis}hi" for axis, edge in zip("xyz", edges_nm(box), strict=True)]
    masses = [f"{n} {key[4]!r} # {key[0]} {key[1]}" for key, n in kit.atoms.numbers.items()]
    for title, body in {"Masses": masses, **sections}.items():
        if body:
            lines += ["", title, "", *body]
    return "\n".join([*lines, ""])


def _input(box: Box, kit: _Kit) -> str:
    outer, inner = box.cut_off_nm * NM_A, box.switch_from_nm * NM_A
    lines = f"""# written by lmbmd export; energies in kcal/mol, lengths in Å, times in fs
units real
atom_style full
boundary p p p
bond_style harmonic
angle_style harmonic
dihedral_style charmm
special_bonds lj/coul 0.0 0.0 0.0
pair_style hybrid/overlay lj/cut {outer:g} lj/charmm/coul/long {inner:g} {outer:g}
read_data data.lmp
kspace_style pppm 1.0e-5
""".splitlines()
    for i, (_, _, s1, e1, _) in enumerate(kit.atoms.numbers, start=1):
        for j, (_, _, s2, e2, _) in enumerate(kit.atoms.numbers, start=1):
            if i > j:
                continue
            sigma = mixed_sigma(box.combining_rule, s1, s2) * NM_A or ANY_SIGMA_A
            epsilon = math.sqrt(e1 * e2) / KJ_PER_KCAL
            sigma14, epsilon14 = kit.scaled.get((i, j), (ANY_SIGMA_A, 0.0))
            lines.append(f"pair_coeff {i} {j} lj/cut {epsilon!r} {sigma!r}")
            lines.append(f"pair_coeff {i} {j} lj/charmm/coul/long 0.0 {ANY_SIGMA_A} {epsilon14!r} {sigma14!r}")
    for style, kinds in (("bond", kit.bonds), ("angle", kit.angles), ("dihedral", kit.dihedrals)):
        lines += [f"{style}_coeff {n} {' '.join(map(repr, key))}" for key, n in kinds.numbers.items()]
    return "\n".join([*lines, _RUN.format(T=box.temperature_K, p_atm=box.pressure_bar / 1.01325), ""])


_RUN = """pair_modify tail yes
neighbor 2.0 bin
neigh_modify delay 0 every 1 check yes
thermo_style custom step temp press density pe ebond eangle edihed evdwl ecoul elong etail
thermo 100
thermo_modify flush yes

# A first run; adjust it. Bonds are flexible here: 1 fs.
minimize 0.0 1.0e-2 500 5000
timestep 1.0
velocity all create {T:g} 4928459 mom yes rot yes dist gaussian
fix 1 all npt temp {T:g} {T:g} 100.0 iso {p_atm:.6g} {p_atm:.6g} 1000.0
dump 1 all custom 1000 trajectory.lammpstrj id mol type x y z ix iy iz
run 1000000
"""
