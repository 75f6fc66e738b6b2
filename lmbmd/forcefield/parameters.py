"""Released parameter sets: one flexible molecule per species, verified against the manifest when loaded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import app, unit
from rdkit import Chem

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.provenance import sha256_of
from lmbmd.core.yamlfile import read_yaml
from lmbmd.data.bonds import bare_molecule
from lmbmd.data.library import Library, force_fields_folder, load_library
from lmbmd.data.systemxml import system_of
from lmbmd.forcefield.mixing import checked_rule
from lmbmd.forcefield.own import INHERITED, OwnSet, how_to_get, read_own
from lmbmd.forcefield.sets import available_sets, sets_covering


@dataclass(frozen=True, eq=False)
class ParameterSet:
    """A released set. Every file was compared with the manifest's hash when the set was loaded.

    Attributes:
        name, version: e.g. ``"sage-clp"``, ``"1.0.0"``.
        folder: where it lies.
        manifest: sources, licences, transformations and hashes, as written in ``manifest.yaml``.
        systems: serialised System of each species.
        molecules: names, elements, bonds and positions of each species.
        library: who the species are.
    """

    name: str
    version: str
    folder: Path
    manifest: Mapping[str, Any]
    systems: Mapping[str, str]
    molecules: Mapping[str, app.PDBFile]
    library: Library

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species it covers."""
        return tuple(self.manifest["species"])

    @property
    def released(self) -> str:
        """Full name of the released set whose rules it follows: itself, or the one that it extends."""
        return str(self.manifest.get("extends", f"{self.name}-{self.version}"))

    @property
    def cut_off_A(self) -> float:
        """Lennard-Jones and direct-space cut-off that the set is meant for, Å."""
        return float(self.manifest["nonbonded"]["cut_off_A"])

    @property
    def switch_from_A(self) -> float:
        """Distance from which the Lennard-Jones potential is switched off, Å."""
        return float(self.manifest["nonbonded"]["switch_from_A"])

    @property
    def combining_rule(self) -> str:
        """How σ and ε of atoms of different molecules mix, one of ``mixing.COMBINING_RULES``."""
        return self.manifest["nonbonded"]["combining_rule"]

    @property
    def default_ion_charge_scale(self) -> float:
        """Factor on the charges of ions that the set proposes; the files hold full charges."""
        return float(self.manifest["ion_charge_scale"]["default"])

    def citations(self, species: str) -> tuple[dict[str, str], ...]:
        """Sources of a species' numbers, each with ``what`` and, where known, ``doi`` and ``licence``."""
        self._require(species)
        return tuple(dict(source) for source in self.manifest["species"][species]["sources"])

    def system(self, species: str) -> openmm.System:
        """A new System of one flexible molecule without constraints or cut-off, full charges, 1–4 exceptions included.

        Raises:
            LmbmdError: if the set lacks the species; the error names the sets that have it.
        """
        self._require(species)
        return system_of(
            self.systems[species],
            f"{self.name}: {species}",
            remedy="Install lmbmd again, or make the molecule's files anew.",
        )

    def geometry(self, species: str) -> np.ndarray:
        """Minimised positions about the centre of mass, (n_atoms, 3) float64, Å."""
        return np.array(self._molecule(species).positions.value_in_unit(unit.angstrom))

    def names(self, species: str) -> list[str]:
        """Atom names, unique within the molecule, in the order of the System's particles."""
        return [atom.name for atom in self._molecule(species).topology.atoms()]

    def elements(self, species: str) -> list[str]:
        """Element symbols, ``"Li"``, in the order of the System's particles."""
        return [atom.element.symbol for atom in self._molecule(species).topology.atoms()]

    def bonds(self, species: str) -> np.ndarray:
        """Bonded pairs, (n_bonds, 2) int64, smaller index first, sorted."""
        pairs = sorted(sorted((a.index, b.index)) for a, b in self._molecule(species).topology.bonds())
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def site_of_atom(self, species: str) -> list[str]:
        """Donor site of each atom by the patterns of ``species.yaml``; "" for an atom that is none.

        Raises:
            LmbmdError: if the set lacks the species, an atom belongs to two sites, or a pattern is none.
        """
        graph = bare_molecule(self.elements(species), self.bonds(species).tolist())
        sites = [""] * graph.GetNumAtoms()
        for site, smarts in self.library.find_species(species).sites.items():
            pattern = Chem.MolFromSmarts(smarts)
            if pattern is None:
                raise LmbmdError(
                    f"'{smarts}', the site {site} of {species}, is no SMARTS.", where="species.yaml", remedy="Mend it."
                )
            for atom, *_ in graph.GetSubstructMatches(pattern):
                if sites[atom] not in ("", site):
                    raise LmbmdError(
                        f"atom {atom} of {species} is both {sites[atom]} and {site}.",
                        where="species.yaml",
                        remedy="Make the patterns of its sites exclude each other.",
                    )
                sites[atom] = site
        return sites

    def _molecule(self, species: str) -> app.PDBFile:
        self._require(species)
        return self.molecules[species]

    def _require(self, species: str) -> None:
        if species in self.manifest["species"]:
            return
        others = sets_covering(species)
        raise LmbmdError(
            f"the parameter set {self.name}-{self.version} has no {species}.",
            where="force_field",
            remedy=(f"It is in {', '.join(others)}." if others else "No released set has it.")
            + f" To make your own: {how_to_get(species, self.library)}",
        )


def load_set(name: str, own_folder: str | Path = "") -> ParameterSet:
    """A set by its full name, ``"sage-clp-2.1.0"``: a released one, or one of the user's own in ``own_folder``.

    Raises:
        LmbmdError: if there is no such set, or a file of it is missing or was changed since its release.
    """
    if own_folder and (Path(own_folder) / name / "manifest.yaml").is_file():
        return read_extended(read_own(Path(own_folder) / name))
    if name not in available_sets():
        raise LmbmdError(
            f"there is no parameter set '{name}'.", where="force_field", remedy=nearest(name, available_sets())
        )
    return _load(name)


@cache
def _load(name: str) -> ParameterSet:
    return read_set(force_fields_folder() / name)


def read_set(folder: Path) -> ParameterSet:
    """Read a set from any folder, comparing every file with its manifest.

    Raises:
        LmbmdError: if a file is missing or differs from what the manifest says, or the combining rule is unknown.
    """
    manifest = read_yaml(folder / "manifest.yaml")[0]
    checked_rule(manifest["nonbonded"].get("combining_rule"), where=str(folder / "manifest.yaml"))
    remedy = "Released sets are not edited: restore the file, or make a new version of the set."
    systems, molecules = _read_species(folder, manifest, "a released parameter set", remedy)
    return ParameterSet(
        name=manifest["name"],
        version=manifest["version"],
        folder=folder,
        manifest=manifest,
        systems=systems,
        molecules=molecules,
        library=load_library(),
    )


def read_extended(own: OwnSet) -> ParameterSet:
    """A set of the user's own, together with the released set that it extends. Where both have a species, the own wins.

    Raises:
        LmbmdError: if a file of either is missing or differs from what its manifest says.
    """
    base = load_set(own.extends)
    remedy = "Restore the file, or run lmbmd parametrize again for this species."
    systems, molecules = _read_species(own.folder, own.manifest, "your parameter set", remedy)
    name, _, version = own.folder.name.rpartition("-")
    inherited = {key: base.manifest[key] for key in INHERITED}
    species = {**base.manifest["species"], **own.manifest["species"]}
    return ParameterSet(
        name=name,
        version=version,
        folder=own.folder,
        manifest={**own.manifest, "name": name, "version": version, **inherited, "species": species},
        systems={**base.systems, **systems},
        molecules={**base.molecules, **molecules},
        library=own.library,
    )


def _read_species(
    folder: Path, manifest: Mapping[str, Any], whose: str, remedy: str
) -> tuple[dict[str, str], dict[str, app.PDBFile]]:
    text = {}
    for entry in manifest["species"].values():
        for file, expected in entry["files"].items():
            text[file] = _verified(folder / file, expected, whose, remedy)
    return (
        {species: text[f"{species}.xml"] for species in manifest["species"]},
        {species: app.PDBFile(io.StringIO(text[f"{species}.pdb"])) for species in manifest["species"]},
    )


def _verified(path: Path, expected: str, whose: str, remedy: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LmbmdError(f"this file of {whose} is missing.", where=str(path), remedy=remedy) from error
    if sha256_of(data) != expected:
        raise LmbmdError(f"this file of {whose} was changed.", where=str(path), remedy=remedy)
    return data.decode("utf-8")
