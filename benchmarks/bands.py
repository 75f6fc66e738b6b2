"""The band of FSI⁻ near 720 1/cm, free and with one and two Li⁺, by PBE0 or GFN2-xTB in vacuum.

    python benchmarks/bands.py tests/quantum/fsi_pbe0 --method pbe0
    python benchmarks/bands.py work/fsi_gfn2 --method gfn2

Each structure is relaxed, and its Hessian is computed, with ``--raman`` also the change of its polarisability; what is
finished lies in the folder, one file a structure, and is not computed again. Several processes may share the work:
``--only CIP``. Then a table of the lines between 600 and 950 1/cm. Five minutes of one core a structure with
PBE0/def2-SVP.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem
from scipy.optimize import minimize

from lmbmd.core.units import BOHR_A
from lmbmd.quantum import dft, xtb
from lmbmd.quantum.vibrations import (
    band_cm,
    isotropic_raman_A4_amu,
    partial_hessian,
    polarisability_gradient,
    stretch,
    wavenumbers_cm,
)

#: The anion, in every file first: N, two S, two O on each, F on each.
ANION = ("N", "S", "S", "O", "O", "O", "O", "F", "F")
#: Angles F–S–N–S that a structure begins with, and its Li⁺, each on one O of either S.
STRUCTURES = {
    "free": ((-74.0, -74.0), 0),
    "free_cis": ((-80.0, 110.0), 0),
    "CIP": ((-74.0, -74.0), 1),
    "AGG": ((180.0, 180.0), 2),
}
#: Bonds that lengthen together in the band: both S–N and both S–F.
BONDS = ((0, 1), (0, 2), (7, 1), (8, 2))
WINDOW_CM = (550.0, 950.0)
#: Level of the functional's grid: on carbon monosulfide 0.4 1/cm from that of level 3.
GRID = 1
TABLE = Chem.GetPeriodicTable()


def turned(vector: np.ndarray, axis: np.ndarray, degrees: float) -> np.ndarray:
    """A vector turned about a unit axis."""
    angle = np.radians(degrees)
    across = np.cross(axis, vector) * np.sin(angle)
    return vector * np.cos(angle) + across + axis * (axis @ vector) * (1 - np.cos(angle))


def start(angles: tuple[float, float], lithiums: int) -> np.ndarray:
    """Positions to begin with, Å: usual bonds, N–S–X 108°, S–N–S 124°."""
    half = np.radians(62.0)
    sulfurs = [1.585 * np.array([side * np.sin(half), np.cos(half), 0.0]) for side in (1, -1)]
    oxygens: list[np.ndarray] = []
    fluorines: list[np.ndarray] = []
    for s, other, angle in zip(sulfurs, sulfurs[::-1], angles, strict=True):
        out = s / np.linalg.norm(s)
        aside = other - (other @ out) * out
        aside /= np.linalg.norm(aside)
        for place, length, more in ((fluorines, 1.625, 0.0), (oxygens, 1.45, 120.0), (oxygens, 1.45, 240.0)):
            bond = np.cos(np.radians(72.0)) * out + np.sin(np.radians(72.0)) * turned(aside, out, angle + more)
            place.append(s + length * bond)
    x = np.array([np.zeros(3), *sulfurs, *oxygens, *fluorines])
    pairs = sorted(((i, j) for i in (3, 4) for j in (5, 6)), key=lambda ij: np.linalg.norm(x[ij[0]] - x[ij[1]]))
    ions: list[np.ndarray] = []
    for i, j in ([pairs[0], (7 - pairs[0][0], 11 - pairs[0][1])])[:lithiums]:
        middle = (x[i] + x[j]) / 2
        out = middle - x[:9].mean(axis=0)
        ions.append(middle + out / np.linalg.norm(out) * np.sqrt(max(0.3, 1.85**2 - np.sum((x[i] - middle) ** 2))))
    return np.array([*x, *ions])


def relaxed(surface: xtb.Surface, positions_A: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, float]:
    """The minimum below, and the largest force left (hartree/bohr); ``like`` is a Hessian to step with."""
    value, vector = np.linalg.eigh(like)
    inverse = (vector / np.maximum(np.abs(value), 0.01)) @ vector.T

    def flat(some: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = surface(some.reshape(-1, 3))
        print(f"  {energy:.7f} {np.abs(gradient).max():.5f}", flush=True)
        return energy, gradient.ravel()

    options = {"gtol": 1.5e-4, "hess_inv0": 0.5 * (inverse + inverse.T), "maxiter": 60}
    found = minimize(flat, positions_A.ravel() / BOHR_A, jac=True, method="BFGS", options=options)
    return found.x.reshape(-1, 3) * BOHR_A, float(np.abs(found.jac).max())


def compute(path: Path, name: str, method: str, basis: str, raman: bool) -> None:
    """Whatever its file does not yet have."""
    angles, lithiums = STRUCTURES[name]
    element = [*ANION, *["Li"] * lithiums]
    numbers, charge = np.array([TABLE.GetAtomicNumber(e) for e in element]), lithiums - 1
    rough = xtb.gfn2(numbers, charge, accuracy=0.01)

    def surface(field_au: np.ndarray | None = None) -> xtb.Surface:
        if method == "gfn2":
            return xtb.gfn2(numbers, charge, accuracy=0.01, field_au=field_au)
        return dft.surface(numbers, charge, basis, field_au, GRID)

    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def keep(**more: Any) -> None:
        known.update(more)
        path.write_text(json.dumps(known) + "\n")

    if "xyz_A" not in known:
        x = start(angles, lithiums)
        if lithiums:
            _, x = xtb.relax(rough, x, frozen=np.arange(len(x)) < 9)
        x, force = relaxed(surface(), x, partial_hessian(rough, x, range(len(x))))
        keep(element=element, charge=charge, method=method, basis=basis, force=force, xyz_A=np.round(x, 6).tolist())
    x = np.array(known["xyz_A"])
    if "hessian" not in known:
        found = (
            dft.hessian(numbers, x, charge, basis, GRID)
            if method == "pbe0"
            else partial_hessian(surface(), x, range(len(x)))
        )
        keep(hessian=np.round(found, 6).tolist())
    if raman and "polarisability_gradient_bohr2" not in known:
        keep(polarisability_gradient_bohr2=np.round(polarisability_gradient(surface, x), 4).tolist())


def table(folder: Path) -> None:
    """The lowest vibrations of the whole, the band, and all lines of the anion with Li⁺ held."""
    for name in STRUCTURES:
        path = folder / f"{name}.json"
        if not path.exists() or "hessian" not in (known := json.loads(path.read_text())):
            continue
        hessian, x = np.array(known["hessian"]), np.array(known["xyz_A"])[:9]
        mass = np.array([TABLE.GetAtomicWeight(TABLE.GetAtomicNumber(e)) for e in known["element"]])
        whole = wavenumbers_cm(hessian, mass)[0]
        w, mode = wavenumbers_cm(hessian[:27, :27], mass[:9])
        share = [(stretch(x, bonds, mass[:9]) @ mode) ** 2 for bonds in (BONDS, BONDS[:2], BONDS[2:])]
        change = known.get("polarisability_gradient_bohr2")
        activity = isotropic_raman_A4_amu(np.array(change)[:9], mode, mass[:9]) if change else np.full(27, np.nan)
        lowest = " ".join(f"{one:.0f}" for one in whole[:8])
        band, part = band_cm(w, mode, stretch(x, BONDS, mass[:9]), WINDOW_CM)
        print(f"{name}: band {band:.1f} 1/cm, share {part:.2f}; lowest of the whole {lowest}")
        for k in np.flatnonzero((w > 600) & (w < 950)):
            parts = f"all {share[0][k]:.2f}  S–N {share[1][k]:.2f}  S–F {share[2][k]:.2f}"
            print(f"  {w[k]:7.1f}  {parts}  Raman {activity[k]:7.2f} Å⁴/amu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", choices=("pbe0", "gfn2"), default="pbe0")
    parser.add_argument("--basis", default="def2-svp")
    parser.add_argument("--only", nargs="*", choices=tuple(STRUCTURES), default=tuple(STRUCTURES))
    parser.add_argument("--raman", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        compute(args.folder / f"{name}.json", name, args.method, args.basis, args.raman)
    table(args.folder)


if __name__ == "__main__":
    main()
