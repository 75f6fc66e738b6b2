"""A small literal library, so that hand-computed numbers do not move with the shipped one; and bottles as text."""

from __future__ import annotations

from pathlib import Path

from lmbmd.data.library import Library, Salt, Species
from lmbmd.formulation.models import Formulation, load_formulation


def _molecule(name, formula, molar_mass, density, **more):
    return Species(
        name=name,
        title=name,
        smiles="",
        formula=formula,
        charge=0,
        molar_mass_g_mol=molar_mass,
        roles=("solvent",),
        density_g_cm3=density,
        density_T_K=298.15,
        density_source="a table",
        **more,
    )


def _ion(name, formula, charge, molar_mass):
    role = "cation" if charge > 0 else "anion"
    return Species(name, name, "", formula, charge, molar_mass, (role,))


SPECIES = [
    _ion("Li", "Li", 1, 6.94),
    _ion("Mg", "Mg", 2, 24.305),
    _ion("FSI", "F2NO4S2", -1, 180.13),
    _ion("TFSI", "C2F6NO4S2", -1, 280.15),
    _ion("PF6", "F6P", -1, 144.96),
    _ion("NO3", "NO3", -1, 62.0),
    _molecule("DME", "C4H10O2", 90.12, 0.8614, sites={"O_ether": "[OX2]"}, aliases=("monoglyme",)),
    _molecule("EGDBE", "C10H22O2", 174.28, 0.832),
    _molecule("EC", "C3H4O3", 88.06, 1.321, aliases=("ethylene carbonate",)),
    _molecule("DMC", "C3H6O3", 90.08, 1.0633),
    _molecule("EMC", "C4H8O3", 104.10, 1.006),
    _molecule("FEC", "C3H3FO3", 106.05, 1.485),
    _molecule("TTE", "C5H4F8O", 232.07, 1.532),
    _molecule("gas", "CO2", 44.01, None),
]
SALTS = [
    Salt("LiFSI", "", {"Li": 1, "FSI": 1}, 85.0, "assumed"),
    Salt("LiTFSI", "", {"Li": 1, "TFSI": 1}, 143.0, "assumed"),
    Salt("LiPF6", "", {"Li": 1, "PF6": 1}, 60.0, "assumed"),
    Salt("LiNO3", "", {"Li": 1, "NO3": 1}, 30.0, "assumed"),
    Salt("MgTFSI2", "", {"Mg": 1, "TFSI": 2}, 270.0, "assumed"),
    Salt("LiTwice", "", {"Li": 2, "FSI": 1}, 85.0, "a salt that is not neutral"),
]
LIBRARY = Library({s.name: s for s in SPECIES}, {s.name: s for s in SALTS}, {"DEE": "it names two ethers"})


def bottle(*, name: str = "bottle", size=None, **sections) -> Formulation:
    """A formulation from literal sections; about 20 000 atoms."""
    return Formulation(name=name, size=size or {"atoms": 20_000}, **sections)


def bottle_file(folder: Path, text: str, name: str = "bottle") -> Formulation:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return load_formulation(path)
