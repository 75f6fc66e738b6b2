"""What the recipes of all released sets share: their sources, facts of the manifest, and how they are written."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import numpy as np
import openmm
import yaml
from molecules import Molecule, embedded, ideal, pdb_of
from rdkit import Chem

from lmbmd.forcefield.parametrize import charges

HERE = Path(__file__).parent
SAGE_SHA256 = "124f46daf213453d33d773497c35b34f29e752a42b658223355072663ba05a47"
RESP = {"what": "RESP: Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 1993, 97, 10269", "doi": "10.1021/j100142a004"}


class _Plain(yaml.SafeDumper):
    """Writes repeated values out instead of naming them."""

    def ignore_aliases(self, data) -> bool:
        return True


def check_sage(path: Path) -> None:
    """Stop unless it is the release that the sets were made from."""
    if (digest := hashlib.sha256(path.read_bytes()).hexdigest()) != SAGE_SHA256:
        raise SystemExit(f"{path} is not the file this set was made from (sha256 {digest})")


def stored_resp(name: str, smiles: str) -> tuple[list[float], list[dict], str]:
    """Charges that ``resp.json`` has of a molecule, their sources and how they were found."""
    found = json.loads((HERE / "resp.json").read_text(encoding="utf-8"))[name]
    if found["smiles"] != smiles:
        raise ValueError(f"resp.json has another molecule as {name}")
    relaxed = " relaxed by GFN2-xTB" if found.get("relaxed") else ""
    method = (
        f"two-stage RESP, HF/6-31G*, {found['conformers']} MMFF94 conformer(s){relaxed} together, equal on equivalent "
        f"atoms, sum exact; relative error of the potential {found['error']:.2f}"
    )
    return [float(q) for q in found["charges"]], [RESP], method


def has_charges(name: str, file: str = "solvent_charges.json") -> bool:
    """Whether a file of charges has a molecule."""
    return name in json.loads((HERE / file).read_text(encoding="utf-8"))


def stored_charges(name: str, graph: Chem.Mol) -> tuple[list[float], list[dict], str]:
    """Charges that ``solvent_charges.json`` has of a molecule, their sources and how they were found."""
    found = json.loads((HERE / "solvent_charges.json").read_text(encoding="utf-8"))[name]
    if found["smiles"] != graph.GetProp("smiles"):
        raise ValueError(f"solvent_charges.json has another molecule as {name}")
    method = charges.method_text(graph, "resp", found["permittivity"])
    facts = f"{found['conformers']} conformer(s), relative error of the potential {found['error']:.2f}"
    return (
        [float(q) for q in found["charges"]],
        charges.sources_of("resp", found["permittivity"]),
        f"{method}; {facts}",
    )


def shape(graph: Chem.Mol, given: dict) -> np.ndarray | None:
    """The geometry that an entry of ``ions.yaml`` prescribes, if it does."""
    if "geometry" not in given:
        return None
    return ideal(given["geometry"], graph, next(iter(given["bonds"].values()))[0])


def starts_of(graph: Chem.Mol, start: np.ndarray | None) -> list:
    """Geometries from which the lowest is looked for."""
    if graph.GetNumAtoms() == 1:
        return [[[0.0, 0.0, 0.0]]]
    return embedded(graph) if start is None else [start]


def write_species(
    out: Path, name: str, species: dict, molecule: Molecule, system: openmm.System, positions: np.ndarray, entry: dict
) -> dict:
    """Write the two files of a species; its entry in the manifest."""
    files = {f"{name}.xml": openmm.XmlSerializer.serialize(system), f"{name}.pdb": pdb_of(molecule, positions)}
    for file, text in files.items():
        (out / file).write_text(text, encoding="utf-8")
    hashes = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files.items()}
    print(f"{name}: {len(molecule.charges)} atoms", flush=True)
    return {"smiles": species["smiles"], "charge": species["charge"], **entry, "files": hashes}


def write_manifest(out: Path, manifest: dict) -> None:
    """Write ``manifest.yaml``, last of all."""
    text = yaml.dump(manifest, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    (out / "manifest.yaml").write_text(text, encoding="utf-8")


def made(by: str, packages: Iterable[str], **sources: str) -> dict:
    """When, by what and with which versions a set was made."""
    versions = {"python": platform.python_version(), **{package: metadata.version(package) for package in packages}}
    return {
        "date": datetime.date.today().isoformat(),
        "by": f"force_fields/recipes/{by}",
        **sources,
        "versions": versions,
    }
