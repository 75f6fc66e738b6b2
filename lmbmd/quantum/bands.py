"""The band of one anion or solvent among the ions that touch it: relaxed, and one mode of its partial Hessian followed.

Theory: docs/theory/energies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D
from scipy.optimize import minimize

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.quantum import dft, xtb
from lmbmd.quantum.drawn import DrawnShell
from lmbmd.quantum.solution import NotConverged, atomic_numbers
from lmbmd.quantum.vibrations import partial_hessian, product, stretch, tracked
from lmbmd.quantum.xtb import Surface

#: Largest force that is left when a molecule is relaxed, hartree/bohr, and steps in which that must be reached.
FORCE, STEPS = 3e-4, 60
#: An ion whose nearest donor is further away by this after relaxing has been let go, Å.
LET_GO_A = 0.5
#: Level of the functional's grid: 0.4 1/cm from that of level 3 for carbon monosulfide.
GRID = 1
#: The numbers of a molecule.
OF_BAND = ("energy_kJ_mol", "band_cm", "share")


@dataclass(frozen=True)
class Band:
    """A named band of an anion or a solvent.

    Attributes:
        title: as printed.
        groups: of each equal group of the molecule, such as both C≡N of a dinitrile, the pairs of atoms that move apart
            together in it.
        window_cm: where it must lie.
    """

    title: str
    groups: tuple[tuple[tuple[int, int], ...], ...]
    window_cm: tuple[float, float]

    def followed(self, touched: Collection[int]) -> list[tuple[int, int]]:
        """Bonds of the groups with an atom that an ion touches, together; of all groups where none is touched.

        Two equal groups, of which one holds an ion, have each a mode of its own; two that hold none share both.
        """
        near = [group for group in self.groups if any(atom in touched for pair in group for atom in pair)]
        return [pair for group in near or self.groups for pair in group]


@cache
def _known() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return yaml.safe_load(resources.files("lmbmd.quantum").joinpath("bands.yaml").read_text("utf-8"))


def band_of(element: Sequence[str], xyz_A: np.ndarray, charge_e: int) -> Band | None:
    """The band that is known of an anion or neutral molecule of these elements (n,) at these places (n, 3), Å.

    Who is bonded to whom is told from the distances. None if no band is known of it.
    """
    numbers = atomic_numbers(element)
    molecule, places = Chem.RWMol(), Chem.Conformer(len(numbers))
    for k, (z, (x, y, w)) in enumerate(zip(numbers.tolist(), xyz_A.tolist(), strict=True)):
        atom = Chem.Atom(z)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
        places.SetAtomPosition(k, Point3D(x, y, w))
    molecule.AddConformer(places)
    rdDetermineBonds.DetermineConnectivity(molecule)
    molecule.UpdatePropertyCache(strict=False)
    for one in _known()["anions" if charge_e else "solvents"].values():
        found = molecule.GetSubstructMatches(Chem.MolFromSmarts(one["smarts"]))
        if found and len(Chem.GetMolFrags(molecule)) == 1:
            groups = tuple(tuple((match[a], match[b]) for a, b in one["bonds"]) for match in found)
            low, high = one["window_cm"]
            return Band(str(one["title"]), groups, (float(low), float(high)))
    return None


def band_job(shell: DrawnShell, band: Band, is_alone: bool = False) -> dict[str, Any]:
    """All that decides the band of a drawn anion or solvent, as plain data.

    The molecule and the ions in contact with it are computed; all other molecules of the shell are point charges.

    Args:
        shell: the molecule first, with partial charges.
        band: which.
        is_alone: the molecule by itself, without ions and charges.
    """
    n = shell.molecules[0].n_atoms
    contacts = () if is_alone else shell.contacts
    ions = sorted({ion for ion, _ in contacts})
    inside = [*range(n), *ions]
    place = {atom: k for k, atom in enumerate(inside)}
    outside = [] if is_alone else [k for k in range(len(shell.element)) if k not in place]
    whose = np.repeat(np.arange(len(shell.molecules)), [m.n_atoms for m in shell.molecules])
    x = np.round(shell.xyz_A, 3)
    return {
        "element": [shell.element[k] for k in inside],
        "xyz_A": x[inside].tolist(),
        "moving": n,
        "charge_e": shell.molecules[0].charge_e + sum(shell.molecules[whose[k]].charge_e for k in ions),
        "contacts": [[place[a], place[b]] for a, b in contacts],
        "around_e": [round(shell.charge_e[k], 4) for k in outside],
        "around_A": x[outside].tolist(),
        "bonds": [list(pair) for pair in band.followed({donor for _, donor in contacts})],
        "window_cm": list(band.window_cm),
    }


def pbe0(data: Mapping[str, Any], basis: str) -> Surface:
    """The surface of a job by PBE0, in the field of the charges around."""
    around = (np.array(data["around_e"], float), np.array(data["around_A"], float).reshape(-1, 3))
    numbers = atomic_numbers(data["element"])
    return dft.surface(numbers, data["charge_e"], basis, grid=GRID, around=around if len(around[0]) else None)


def band(
    data: Mapping[str, Any], surface: Surface, guess: Callable[[np.ndarray], np.ndarray] | None = None
) -> dict[str, float]:
    """The band of a molecule: relaxed among ions and charges that stay, one mode of its own atoms followed.

    Args:
        data: from ``band_job``.
        surface: the method.
        guess: from positions (n, 3) in Å to a rough Hessian of the moving atoms (3 m, 3 m), hartree/bohr²; that of
            GFN2-xTB without the charges around if None. It sets how fast all converges, not where to.

    Returns:
        ``energy_kJ_mol`` (charges around included), ``band_cm``, and ``share`` of the motion that is in this mode.

    Raises:
        NotConverged: if the field does not become self-consistent, the molecule does not come to rest or lets go of an
            ion, the mode is not found, or it lies outside the window.
    """
    numbers, start = atomic_numbers(data["element"]), np.array(data["xyz_A"], float)
    moving = range(data["moving"])
    if guess is None:
        rough = xtb.gfn2(numbers, data["charge_e"], accuracy=xtb.FINE[0])

        def guess(x: np.ndarray) -> np.ndarray:
            return partial_hessian(rough, x, moving)

    like = guess(start)
    energy, x = at_rest(surface, start, len(moving), like)
    for ion in {a for a, _ in data["contacts"]}:
        donors = [b for a, b in data["contacts"] if a == ion]
        before, after = (np.linalg.norm(y[donors] - y[ion], axis=1).min() for y in (start, x))
        if after > before + LET_GO_A:
            raise NotConverged(f"an ion was let go when the molecule was relaxed: {before:.2f} Å became {after:.2f} Å")
    mass = np.array([Chem.GetPeriodicTable().GetAtomicWeight(int(z)) for z in numbers[: len(moving)]])
    root = np.sqrt(np.repeat(mass, 3))
    motion = stretch(x[: len(moving)], [(a, b) for a, b in data["bonds"]], mass)
    found = tracked(product(surface, x, moving, mass), motion, guess(x) / np.outer(root, root))
    low, high = data["window_cm"]
    if not low < found[0] < high:
        raise NotConverged(f"the band was found at {found[0]:.0f} 1/cm, outside of {low:g}–{high:g}")
    return {"energy_kJ_mol": HARTREE_KJ_MOL * energy, "band_cm": found[0], "share": found[1]}


def at_rest(surface: Surface, positions_A: np.ndarray, n_moving: int, like: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (hartree) and positions (Å) of the minimum below, all but the first atoms frozen.

    Args:
        surface: the method.
        positions_A: (n, 3).
        n_moving: so many atoms move, the first ones.
        like: a Hessian of these to step with, hartree/bohr².

    Raises:
        NotConverged: if ``STEPS`` do not reach it.
    """
    value, vector = np.linalg.eigh(like)
    inverse = (vector / np.maximum(np.abs(value), 0.02)) @ vector.T
    x = positions_A / BOHR_A

    def flat(some: np.ndarray) -> tuple[float, np.ndarray]:
        x[:n_moving] = some.reshape(-1, 3)
        energy, gradient = surface(x)
        return energy, gradient[:n_moving].ravel()

    options = {"gtol": FORCE, "hess_inv0": 0.5 * (inverse + inverse.T), "maxiter": STEPS}
    found = minimize(flat, x[:n_moving].ravel(), jac=True, method="BFGS", options=options)
    left = float(np.abs(found.jac).max())
    if left > 2 * FORCE:
        raise NotConverged(f"the molecule is not at rest after {found.nit} steps: {left:.2g} hartree/bohr are left")
    x[:n_moving] = found.x.reshape(-1, 3)
    return float(found.fun), x * BOHR_A
