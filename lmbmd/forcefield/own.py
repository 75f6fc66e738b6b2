"""Parameter sets of a user's own: a released set, extended by species that ``lmbmd parametrize`` made.

A set of one's own is a folder ``force_fields/<name>-<X.Y.Z>/`` beside the study's file. Its manifest says which
released set it extends; combining rule, cut-offs and the proposed ion charge scale are that set's. ``species.yaml`` in
it has the species that lmbmd's library lacks. Imports nothing heavy, because Snakemake reads it for every graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.files import read_text, write_text
from lmbmd.core.provenance import sha256_of
from lmbmd.core.yamlfile import read_yaml, to_yaml
from lmbmd.data.library import Library, force_fields_folder, load_library, read_library
from lmbmd.forcefield.sets import SET_NAME, Coverage, available_sets, released_sets
from lmbmd.formulation.models import Formulation

FOLDER = "force_fields"
INHERITED = ("nonbonded", "ion_charge_scale")


@dataclass(frozen=True)
class OwnSet:
    """What a study must know of a user's set before anything is built.

    Attributes:
        folder: of the set.
        extends: the released set.
        files: hashes of each own species' files, by species.
        library: lmbmd's species and the set's own, each with what the manifest says must be known of its parameters.
        manifest: as written.
    """

    folder: Path
    extends: str
    files: Mapping[str, Mapping[str, str]]
    library: Library
    manifest: Mapping[str, Any]

    def recipe(self, species: str) -> list[Any]:
        """What of this set decides a box with ``species``: files and donor sites; empty if it is not its own."""
        if species not in self.files:
            return []
        return [species, dict(self.files[species]), dict(self.library.species[species].sites)]


def own_sets(folder: Path, faults: dict[str, LmbmdError] | None = None) -> dict[str, OwnSet]:
    """The user's sets in a folder, by full name; none if there is no such folder, or it is that of the released sets.

    Args:
        faults: if given, what is wrong with a set is put here under its name, and the set left out.

    Raises:
        LmbmdError: if one contradicts itself, or bears the name of a released set, unless ``faults`` is given.
    """
    manifests = sorted(folder.glob("*/manifest.yaml")) if folder.is_dir() and not _holds_released(folder) else []
    found = {}
    for path in manifests:
        try:
            found[path.parent.name] = read_own(path.parent)
        except LmbmdError as error:
            if faults is None:
                raise
            faults[path.parent.name] = error
    return found


def _holds_released(folder: Path) -> bool:
    """Whether a folder is that of the released sets, as it is for a study file at the top of the repository."""
    return folder.resolve() == force_fields_folder().resolve()


def check_place(folder: Path) -> None:
    """Refuse to begin a set among the released ones, where it would be taken for one of them."""
    if _holds_released(folder.parent):
        what, remedy = "lmbmd's released sets lie here.", "Keep your study in a folder of its own."
        raise LmbmdError(what, where=str(folder.parent), remedy=remedy)


def check_set_name(name: str, where: str) -> tuple[str, ...]:
    """The released sets' names, none of which a set of one's own may bear.

    Raises:
        LmbmdError: if it is one of them, or no name and version.
    """
    released = available_sets()
    if name in released or not SET_NAME.fullmatch(name):
        fault = "is the name of a released set" if name in released else "cannot name a parameter set"
        remedy = "Name the folder like 'own-1.0.0': a name and a version."
        raise LmbmdError(f"'{name}' {fault}.", where=where, remedy=remedy)
    return released


def read_own(folder: Path) -> OwnSet:
    """One set of a user's own; files are named, not opened.

    Raises:
        LmbmdError: if the manifest is damaged, extends no released set, or says what only the released set may say.
    """
    where = str(folder / "manifest.yaml")
    released = check_set_name(folder.name, where)
    try:
        manifest = read_yaml(folder / "manifest.yaml")[0]
        extends = manifest["extends"]
        files = {name: dict(entry["files"]) for name, entry in manifest["species"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LmbmdError(
            f"this is no manifest of a set of your own ({error}).", where=where, remedy="Make the set again."
        ) from error
    if extends not in released:
        raise LmbmdError(
            f"it extends '{extends}', which is no released set.", where=where, remedy=nearest(extends, released)
        )
    if said := [key for key in INHERITED if key in manifest]:
        raise LmbmdError(
            f"it has a section '{said[0]}'.",
            where=where,
            remedy=f"Remove it: a set of your own takes it from {extends}, so that one box has one combining rule.",
        )
    if any(set(names) != {f"{name}.xml", f"{name}.pdb"} for name, names in files.items()):
        raise LmbmdError("a species has other files than its .xml and .pdb.", where=where, remedy="Make it again.")
    own = folder / "species.yaml"
    library = load_library()
    if own.is_file():
        library = read_library(read_text(own, "Make it again, or restore it."), where=str(own), base=library)
    if unknown := sorted(set(files) - set(library.species)):
        raise LmbmdError(f"{unknown[0]} is in no species.yaml.", where=where, remedy="Make it again with its SMILES.")
    return OwnSet(folder, extends, files, _with_cautions(library, manifest["species"]), manifest)


def _with_cautions(library: Library, entries: Mapping[str, Mapping[str, Any]]) -> Library:
    """A library whose species say what their entries in a manifest say of them, after what it says itself."""
    told = {name: str(entry.get("caution") or "") for name, entry in entries.items()}
    species = dict(library.species)
    for name, text in told.items():
        if text:
            before = f"{species[name].caution.rstrip('.')}. " if species[name].caution else ""
            species[name] = replace(species[name], caution=before + text)
    return replace(library, species=species)


def add_species(
    folder: Path,
    extends: str,
    name: str,
    texts: Mapping[str, str],
    entry: Mapping[str, Any],
    species: Mapping[str, Any] | None,
) -> None:
    """Add a species to a set, or replace it. The manifest is written last: what it does not list is not in the set.

    Args:
        folder: of the set, begun if it is not there.
        extends: the released set, for a new set.
        texts: the species' files by name.
        entry: for the manifest; the hashes of ``texts`` are added.
        species: for ``species.yaml``, unless lmbmd's library has it.

    Raises:
        LmbmdError: if a name of the species already means another one; nothing is written then.
    """
    path, manifest = folder / "species.yaml", folder / "manifest.yaml"
    known = read_yaml(path)[0] if path.is_file() else {}
    said = read_yaml(manifest)[0] if manifest.is_file() else {}
    said = said or {"extends": extends, "title": f"{extends} and species of one's own"}
    files = {file: sha256_of(text.encode()) for file, text in texts.items()}
    said["species"] = {**said.get("species", {}), name: {**entry, "files": files}}
    if species:
        known["species"] = {**(known.get("species") or {}), name: dict(species)}
        read_library(to_yaml(known), where=str(path), base=load_library())
    for file, text in texts.items():
        write_text(folder / file, text)
    if species:
        write_text(path, to_yaml(known))
    write_text(manifest, to_yaml(said))


def how_to_get(species: str, library: Library) -> str:
    """The command that puts a species into a set of one's own. Ions, boron and silicon need published parameters."""
    entry = library.species.get(species)
    smiles = entry.smiles if entry else "SMILES"
    automatic = entry is None or (entry.charge == 0 and not re.search(r"B(?!r)|Si", entry.formula))
    means = "" if automatic else " --topology FILE"
    return f"lmbmd parametrize {species} --smiles '{smiles}'{means}"


def every_set(own: Mapping[str, OwnSet]) -> dict[str, Coverage]:
    """Released sets and the user's own, each with all its species."""
    sets = released_sets()
    extended = {
        name: sets[one.extends]._replace(species=sets[one.extends].species | set(one.files))
        for name, one in own.items()
    }
    return {**sets, **extended}


def coverage(formulation: Formulation, own: Mapping[str, OwnSet]) -> Coverage:
    """Of the set that a bottle names.

    Raises:
        LmbmdError: if there is no such set.
    """
    sets, wanted = every_set(own), formulation.force_field
    if wanted not in sets:
        where = formulation.where("force_field")
        raise LmbmdError(f"there is no force field '{wanted}'.", where=where, remedy=nearest(wanted, sets))
    return sets[wanted]


def check_coverage(species: Iterable[str], formulation: Formulation, own: Mapping[str, OwnSet]) -> None:
    """Refuse a bottle with a species that its force field does not have.

    Args:
        own: the user's own sets.

    Raises:
        LmbmdError: naming the sets that have all of the bottle's species, and the command that makes one's own.
    """
    species, chosen = list(species), coverage(formulation, own)
    lacking = [s for s in species if s not in chosen.species]
    if lacking:
        others = [name for name, one in every_set(own).items() if set(species) <= one.species]
        remedy = f"All of them are in {', '.join(others)}." if others else "No released set has them all."
        library = own[formulation.force_field].library if formulation.force_field in own else load_library()
        remedy += f" To make your own: {'; '.join(how_to_get(s, library) for s in lacking)} (docs/parametrize.md)."
        what = f"{formulation.force_field} has no {', '.join(lacking)}."
        raise LmbmdError(what, where=formulation.where("force_field"), remedy=remedy)
