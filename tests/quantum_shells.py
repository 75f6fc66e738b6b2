"""Small shells of waters and other molecules round an ion, and results of quantum chemistry made up for tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmbmd.quantum.drawn import CLASSES, NEUTRAL_CLASSES, Drawn, DrawnShell, Molecule
from lmbmd.quantum.methods import variants
from lmbmd.quantum.options import BandOptions, QuantumOptions
from lmbmd.quantum.run import Energies

#: Å, the oxygen at the origin, the hydrogens away from −y.
WATER = np.array([[0.0, 0.0, 0.0], [0.757, 0.586, 0.0], [-0.757, 0.586, 0.0]])
LITHIUM = Molecule("Li", 1, 1)


def turned(rng: np.random.Generator) -> np.ndarray:
    """A random rotation."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def waters(
    distances_A: Sequence[float], name: str = "SSIP-1", kind: str = "SSIP", ion: str = "Li", charge_e: int = 1
) -> DrawnShell:
    """An ion and up to four waters whose oxygens are so far from it, along the corners of a tetrahedron."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5
    places = [np.zeros((1, 3))]
    for corner, far in zip(corners, distances_A, strict=False):
        side = np.cross(corner, [0.3, 0.9, -0.2])
        side /= np.linalg.norm(side)
        places.append(WATER @ np.array([side, corner, np.cross(side, corner)]) + far * corner)
    n = len(places) - 1
    return DrawnShell(
        name,
        f"H2O{n}" if n else "bare",
        kind,
        n,
        0.0,
        (Molecule(ion, 1, charge_e), *[Molecule("H2O", 3, 0)] * n),
        (ion, *("O", "H", "H") * n),
        np.vstack(places),
        tuple((0, 1 + 3 * k) for k in range(n)),
    )


def made_up(rng: np.random.Generator, shells: int = 6, failed: int = 1, dft: bool = True) -> Energies:
    """What the quantum stage could have found of shells of DME and FSI."""
    options = QuantumOptions(dft_per_class=1 if dft else 0, permittivity=7.0)
    every = [*variants(options), *(variants(options, "pbe0") if dft else ())]
    names = [variant.key for variant in every]
    found = []
    for kind in CLASSES:
        for k in range(shells):
            members = ["DME", "DME"] if kind == "SSIP" else ["DME", "FSI"]
            numbers = {}
            for name in names:
                molecules = [
                    {
                        "species": s,
                        "removal_kJ_mol": rng.normal(150, 20),
                        "interaction_kJ_mol": rng.normal(-500 if s == "FSI" else -250, 20),
                        "homo_eV": rng.normal(-14, 0.2),
                        "lumo_eV": rng.normal(-6, 0.2),
                    }
                    for s in members
                ]
                numbers[name] = {
                    "energy_kJ_mol": rng.normal(-1e5, 10),
                    "binding_kJ_mol": rng.normal(-600, 30),
                    "nonadditivity_kJ_mol": rng.normal(60, 10),
                    "homo_eV": rng.normal(-13, 0.2),
                    "lumo_eV": rng.normal(-7, 0.2),
                    "dipole_D": abs(rng.normal(8, 2)),
                    "molecules": molecules,
                }
            if kind == "CIP" and k < failed:
                numbers[names[0]] = {"why_not": "SCF not converged in 250 cycles"}
            found.append(
                {
                    "name": f"{kind}-{k + 1}",
                    "label": "DME2" if kind == "SSIP" else "DME1 FSI1",
                    "kind": kind,
                    "frame": 3 * k,
                    "time_ps": 6.0 * k,
                    "found": numbers,
                }
            )
    free = {
        name: {
            s: {"energy_kJ_mol": -1e4, "homo_eV": -11.0, "lumo_eV": 1.0 if s == "DME" else 3.0, "dipole_D": 1.5}
            for s in ("DME", "FSI")
        }
        for name in names
    }
    counts = rng.multinomial(10, [0.4, 0.3, 0.2, 0.1], size=3 * shells)
    return Energies(
        "Li", counts, tuple(found), free, {v.key: v for v in every}, "", {"options": options.model_dump(mode="json")}
    )


def banded() -> Energies:
    """What it could have found of the bands of FSI: one of the aggregates let go of an ion, and no anion is AGG-II."""
    found = []
    for kind, shift in (("SSIP", 1.0), ("CIP", 20.0), ("AGG-I", 50.0)):
        for k, more in enumerate((-4.0, 0.0, 4.0) if kind != "AGG-I" else (-4.0, 4.0, 0.0)):
            one = {"energy_kJ_mol": -1e6, "band_cm": 726.0 + shift + more, "share": 0.7}
            failed = {"why_not": "an ion was let go"} if kind == "AGG-I" and k == 2 else one
            said = {
                "name": f"FSI-{kind}-{k + 1}",
                "label": "Li1-DME2",
                "kind": kind,
                "frame": 3 * k,
                "time_ps": 6.0 * k,
            }
            found.append({**said, "found": failed})
    alone = [
        {"energy_kJ_mol": -10.0, "band_cm": 730.0, "share": 0.8},
        {"energy_kJ_mol": -12.0, "band_cm": 726.0, "share": 0.8},
    ]
    said = {"classes": list(CLASSES), "counts": [[5, 3, 2, 0]] * 8, "title": "S–N–S", "n_groups": 1}
    of_fsi = {**said, "shells": found, "alone": alone}
    options = QuantumOptions(bands=BandOptions())
    plain = made_up(np.random.default_rng(3))
    return replace(plain, bands={"FSI": of_fsi}, facts={"options": options.facts()})


def banded_solvent(n_groups: int = 1) -> Energies:
    """The same with the bands of DMC, of which a third is free, five ninths bound and one ninth bridging."""
    found = []
    for kind, shift in (("free", -1.0), ("bound", -30.0), ("bridging", -70.0)):
        for k, more in enumerate((-3.0, 0.0, 3.0)):
            one = {"energy_kJ_mol": -9e5, "band_cm": 1930.0 + shift + more, "share": 0.8}
            label = {"free": "alone", "bound": "Li1 FSI1", "bridging": "Li2 FSI3"}[kind]
            said = {"name": f"DMC-{kind}-{k + 1}", "label": label, "kind": kind, "frame": 3 * k, "time_ps": 6.0 * k}
            found.append({**said, "found": one})
    alone = [{"energy_kJ_mol": -10.0, "band_cm": 1930.0, "share": 0.9}]
    of_dmc = {"classes": list(NEUTRAL_CLASSES), "counts": [[3, 5, 1]] * 8, "title": "C=O", "n_groups": n_groups}
    plain = banded()
    options = QuantumOptions(bands=BandOptions(of=("FSI", "DMC")))
    bands = {**plain.bands, "DMC": {**of_dmc, "shells": found, "alone": alone}}
    return replace(plain, bands=bands, facts={"options": options.facts()})


def drawn(shells: Sequence[DrawnShell]) -> Drawn:
    """A file of them, each class as frequent as it was drawn."""
    counts = np.array([[sum(s.kind == kind for s in shells) for kind in CLASSES]])
    return Drawn("Li", counts, tuple(shells), "", "draw/test")
