"""One molecule's parameters taken over from another program's topology, checked to be what lmbmd's own are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from rdkit import Chem

from lmbmd.core import provenance
from lmbmd.core.errors import LmbmdError
from lmbmd.data.terms import PlainTerms
from lmbmd.forcefield.mixing import mixed
from lmbmd.forcefield.parametrize import chemistry
from lmbmd.forcefield.parametrize.molecules import EXCLUDED_STEPS, assembled, embedded, lowest_geometry
from lmbmd.forcefield.parametrize.topologies import Imported, ordered_like, read_topology

#: The largest net charge of a foreign topology that is rounding, e.
ROUNDING_E = 0.01


def taken_over(
    topology: Path, coordinates: Path | None, graph: Chem.Mol, rule: str, remix: bool, step: Callable[[str], None]
) -> tuple[Chem.Mol, openmm.System, np.ndarray, dict[str, Any]]:
    """Parameters from a topology that another program wrote.

    Args:
        topology, coordinates: files, as ``read_topology`` takes them.
        graph: the molecule that it is to be.
        rule: combining rule of the set that it joins.
        remix: take σ and ε made for the other rule as they are.
        step: is told what is being done.

    Returns:
        The molecule with its atoms in the topology's order, its System, its geometry (Å) and what the manifest says.

    Raises:
        LmbmdError: if it is another molecule, mixes by another rule, is not neutral or whole in charge, or treats
            near atoms otherwise than usual.
    """
    where = str(topology)
    step("topology")
    imported = read_topology(topology, coordinates)
    published = imported.combining_rule
    if published != rule and not remix:
        remedy = f"Add --remix to take its sigma and epsilon as they are; its 1-4 pairs stay {published}."
        if topology.suffix == ".xml":
            remedy += " An OpenMM file cannot say that it mixes geometrically, as OPLS-AA does: give the GROMACS .top."
        raise LmbmdError(f"its combining rule is {published}; the set mixes by {rule}.", where=where, remedy=remedy)
    graph = ordered_like(graph, imported, where)
    rows, transformations = _neutralised(imported, Chem.GetFormalCharge(graph), where)
    _check_exceptions(rows.exceptions, graph, where)
    if published != rule:
        transformations.append(f"published for {published} mixing: here {rule} between molecules")
    system = assembled(graph, rows)
    step("geometry")
    starts = [imported.positions_A] if imported.positions_A is not None else embedded(graph)
    if not starts:
        raise LmbmdError("RDKit finds no geometry for it.", where=where, remedy="Add --coordinates.")
    entry = {
        "sources": [
            {"what": f"{imported.kind} given by the user ({topology.name}, sha256 {provenance.file_sha256(topology)})"}
        ],
        "charge_method": "of the topology",
        "transformations": ["masses are those of the elements", *transformations],
    }
    return graph, system, lowest_geometry(mixed(system, rule), starts), entry


def _neutralised(imported: Imported, formal: int, where: str) -> tuple[PlainTerms, list[str]]:
    """The topology's rows with charges that add up exactly; what rounding left is shared evenly by all atoms."""
    rows = imported.terms
    total = sum(q for q, *_ in rows.nonbonded)
    if abs(total - formal) > ROUNDING_E:
        raise LmbmdError(
            f"its charges add up to {total:+.4f} e, not {chemistry.signed(formal)}.",
            where=where,
            remedy="Check the SMILES' charge; unscaled charges are needed (ion_charge_scale scales them).",
        )
    micro = [round(1e6 * (q - (total - formal) / len(rows.nonbonded))) for q, *_ in rows.nonbonded]
    micro[0] += 10**6 * formal - sum(micro)
    new = [float(Decimal(q).scaleb(-6)) for q in micro]
    factor = [n / q if q else 1.0 for n, (q, *_) in zip(new, rows.nonbonded, strict=True)]
    rows = replace(
        rows,
        exceptions=[(i, j, qq * factor[i] * factor[j], *lj) for i, j, qq, *lj in rows.exceptions],
        nonbonded=[(q, *lj) for q, (_, *lj) in zip(new, rows.nonbonded, strict=True)],
    )
    return rows, [f"charges rounded to 1e-6 e; {total - formal:+.2e} e shared by all atoms"]


def _check_exceptions(exceptions: list[tuple], graph: Chem.Mol, where: str) -> None:
    """Refuse a topology that lets bonded atoms see each other, or leaves distant ones out."""
    steps = Chem.GetDistanceMatrix(graph)
    found = {(min(i, j), max(i, j)): bool(qq or epsilon) for i, j, qq, _, epsilon in exceptions}
    n = graph.GetNumAtoms()
    near = {(i, j) for i in range(n) for j in range(i + 1, n) if steps[i, j] <= EXCLUDED_STEPS}
    wrong = [pair for pair in near if found.get(pair, True)] + [pair for pair in found if steps[pair] > 3]
    if wrong:
        i, j = wrong[0]
        raise LmbmdError(
            f"atoms {i + 1} and {j + 1} are {int(steps[i, j])} bonds apart, and their pair is treated otherwise than "
            "usual (1-2 and 1-3 left out, 1-4 scaled, others full).",
            where=where,
            remedy="Check nrexcl, [ exclusions ] and the exceptions of the topology.",
        )
