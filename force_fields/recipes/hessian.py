"""Quantum geometry, Hessian and RESP charges of a small molecule or ion, for derive.py.

    python force_fields/recipes/hessian.py 'O=P([O-])(F)F' PO2F2.json [--shape octahedron] [--basis def2-tzvp]

Conformers by distance geometry, the lowest of them by GFN2-xTB (10.1021/acs.jctc.8b01176), then PBE0
(10.1063/1.478522) with density fitting: geometry and analytical Hessian; RESP charges at HF/6-31G*, for anions with
diffuse functions. ``--method gfn2`` stops at GFN2-xTB's geometry and numerical Hessian. Every step is kept in the JSON
as soon as it is done, in Å, hartree/bohr² and e, so that a second run goes on. Needs tblite, PySCF and geometric.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from molecules import ideal
from rdkit import Chem

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.forcefield.parametrize.molecules import embedded
from lmbmd.forcefield.parametrize.quantum import resp, xtb
from lmbmd.quantum.xtb import relax

#: A bond of a regular start geometry, Å; it is optimised.
START_A = 1.7
#: When to stop with GFN2-xTB, for finding the lowest conformer.
ROUGH = {"force": 1e-3, "steps": 150, "change": 1e-8}
#: Bondi, J. Phys. Chem. 1964, 68, 441 (10.1021/j100785a001); Singh and Kollman have none.
resp.RADII_A["As"] = 1.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("smiles")
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=("octahedron", "tetrahedron", "triangle"), help="start geometry")
    parser.add_argument("--method", choices=("pbe0", "gfn2"), default="pbe0")
    parser.add_argument("--basis", default="def2-tzvp")
    parser.add_argument("--conformers", type=int, default=10)
    parser.add_argument("--only-resp", action="store_true", help="RESP charges on GFN2-xTB's geometry, no Hessian")
    args = parser.parse_args()
    graph = Chem.AddHs(Chem.MolFromSmiles(args.smiles))
    known = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {"smiles": args.smiles}
    if "x_gfn2" not in known:
        starts = [ideal(args.shape, graph, START_A)] if args.shape else embedded(graph, args.conformers)
        rough = min((relax(xtb.of(graph), x, **ROUGH) for x in starts), key=lambda found: found[0])[1]
        keep(args.out, known, x_gfn2=xtb.fine_minimum(graph, rough).tolist())
    if args.only_resp or args.method == "gfn2":
        keep(args.out, known, x=known["x_gfn2"], method="GFN2-xTB")
    if "hessian" not in known and not args.only_resp:
        if args.method == "gfn2":
            found = xtb.hessian(graph, np.array(known["x"]))
            keep(args.out, known, hessian=(found * BOHR_A**2 / HARTREE_KJ_MOL).tolist())
        else:
            dft(graph, known, args.out, args.basis)
    if "resp" not in known:
        if any(atom.GetSymbol() == "As" for atom in graph.GetAtoms()):
            resp.basis_for = lambda charge: "def2-svpd"  # 6-31+G* ends at argon
        charges, error = resp.raw_charges(graph, [np.array(known["x"])])
        keep(args.out, known, resp=charges.tolist(), resp_error=error)


def keep(path: Path, known: dict, **new) -> None:
    """Add to the JSON, at once or not at all."""
    known.update(new)
    print(path.stem, *new, flush=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(known), encoding="utf-8")
    os.replace(part, path)


def dft(graph: Chem.Mol, known: dict, out: Path, basis: str) -> None:
    """PBE0 geometry and Hessian into ``known``."""
    from pyscf import dft as functional
    from pyscf import gto
    from pyscf.geomopt.geometric_solver import optimize

    symbols = [atom.GetSymbol() for atom in graph.GetAtoms()]

    def field(x):
        atoms = list(zip(symbols, np.asarray(x).tolist(), strict=True))
        molecule = gto.M(atom=atoms, basis=basis, charge=Chem.GetFormalCharge(graph), unit="Angstrom", verbose=0)
        found = functional.RKS(molecule, xc="pbe0").density_fit()
        found.grids.level, found.conv_tol = 3, 1e-9
        return found

    if "x" not in known:
        start = known.get("x_part", known["x_gfn2"])
        step = lambda e: keep(out, known, x_part=(e["coords"] * BOHR_A).tolist())  # noqa: E731
        done = optimize(field(start), maxsteps=60, callback=step)
        keep(out, known, x=(done.atom_coords() * BOHR_A).tolist(), method=f"PBE0/{basis}")
    last = field(known["x"])
    last.kernel()
    hessian = last.Hessian().kernel()
    n = len(symbols)
    keep(out, known, hessian=hessian.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n).tolist())


if __name__ == "__main__":
    main()
