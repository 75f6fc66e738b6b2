"""How well AM1-BCC charges, and those of parameter sets, give the Hartree-Fock potential around a molecule.

    lmbmd validate charge-models ES TMP DMS FSNDM [--sets sage-clp-2.1.0 opls-clp-1.1.0]

prints, for the lowest conformer, the root mean square error of the potential relative to its own size, at the points
that RESP is fitted at. Needs lmbmd's extra "parametrize"; half a minute a molecule.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from lmbmd.core.units import BOHR_A
from lmbmd.data.terms import read_terms
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.forcefield.parametrize import charges
from lmbmd.forcefield.parametrize.quantum import resp
from lmbmd.validation.plan import SET


def charges_e(parameters: ParameterSet, species: str) -> np.ndarray:
    return np.array(read_terms(parameters.system(species), species).charges_e)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate charge-models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("species", nargs="+")
    parser.add_argument("--sets", nargs="+", default=[SET])
    args = parser.parse_args(arguments)
    sets = [load_set(name) for name in args.sets]
    print("| molecule | AM1-BCC | " + " | ".join(args.sets) + " |\n|---|---|" + "---|" * len(sets))
    for name in args.species:
        graph, energies = charges.conformers(
            Chem.AddHs(Chem.MolFromSmiles(sets[0].manifest["species"][name]["smiles"]))
        )
        x = graph.GetConformer(charges.unlike(graph, energies)[0]).GetPositions()
        symbols = [atom.GetSymbol() for atom in graph.GetAtoms()]
        points = resp.grid(symbols, x)
        quantum = resp.potential(symbols, x, Chem.GetFormalCharge(graph), points)
        inverse = BOHR_A / np.linalg.norm(points[:, None] - x[None], axis=2)
        bcc = np.array([float(q) for q in charges.charges(graph, "am1bcc")])
        models = [bcc, *(charges_e(parameters, name) for parameters in sets)]
        errors = [np.sqrt(np.mean((inverse @ q - quantum) ** 2) / np.mean(quantum**2)) for q in models]
        print(f"| {name} | " + " | ".join(f"{error:.2f}" for error in errors) + " |", flush=True)
