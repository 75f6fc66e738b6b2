"""Who every atom of a box is: its molecule, unit, species, site, element, mass and charge."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, told

#: What reading a damaged Arrow or Parquet file may raise, beside a wrong hash.
DAMAGE = (
    OSError,
    pa.ArrowException,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
    RecursionError,
)
#: The key of a file's or a batch's metadata that holds the hash.
SEAL = b"lmbmd.sha256"


def digest(said: str, table: pa.RecordBatch | pa.Table) -> str:
    """SHA-256 of a text and of every value of a table, whatever the file's compression and layout.

    Arrow and Parquet themselves notice a changed byte only by chance.

    Args:
        said: what else belongs to it, such as the file's header or the place of a batch.
        table: of numbers, texts, and lists of numbers; no value may be missing.
    """
    found = hashlib.sha256(said.encode())
    for name in table.schema.names:
        column = table.column(name)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        # Of a list the type of what is in it: Arrow calls the element "item", Parquet "element".
        kind = f"list of {column.type.value_type}" if pa.types.is_list(column.type) else column.type
        found.update(f"\x1e{name} {kind} {len(column)} {column.null_count}\x1e".encode())
        if pa.types.is_list(column.type):
            found.update(column.value_lengths().to_numpy(zero_copy_only=False).data)
        if pa.types.is_nested(column.type):
            column = column.flatten()
        if pa.types.is_string(column.type):
            found.update("\x1f".join(map(str, column.to_pylist())).encode())
        else:
            found.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).data)
    return found.hexdigest()


Role = Literal["cation", "anion", "solvent", "polymer", "diluent", "additive"]
ROLES: tuple[Role, ...] = ("cation", "anion", "solvent", "polymer", "diluent", "additive")


@dataclass(frozen=True)
class SpeciesInfo:
    """One species of a box: a kind of small molecule, or a kind of unit of a chain.

    Attributes:
        name: unique in the box; sites are named by it.
        role: in this bottle. A unit with a negative charge is an anion, wherever its chain is from.
        charge: formal, of one molecule or of one unit, e.
        chain: name of the chains that this is a unit of, as ``"PVDF-HFP"``; "" for a small molecule. A chain of one
            kind of unit may share its name.
    """

    name: str
    role: Role
    charge: int
    chain: str = ""


@dataclass(frozen=True, eq=False)
class AtomTable:
    """Who every atom is. Written once by build (or mapped from a foreign topology), never guessed again.

    All arrays have one entry per atom, in trajectory order. Atoms of one molecule are contiguous and
    molecules are numbered 0, 1, 2 … in that order.

    A *unit* is what is counted: the partner of an ion, a member of a shell, a node of a cluster. A small molecule is
    one unit, and ``unit`` is then ``molecule``. A chain is a molecule of several units, and what has a species, a
    role and a charge is the unit: in PEO of 20 units with LiTFSI the species are Li, TFSI and the ether unit, whose
    ``SpeciesInfo.chain`` is "PEO"; a copolymer has a species for each kind of unit, all with the same ``chain``, and
    an anion tethered to a chain is a unit with role anion and charge −1. Every atom belongs to a unit: those of an
    end group to the first or last one, those of a side group to the unit that bears it. Atoms of one unit are
    contiguous; units are numbered 0, 1, 2 … over the box in order of atoms, and along a chain from one end to the
    other: units that follow each other in a chain are bonded to each other. Chains of one name may differ in length
    and sequence.

    Attributes:
        species: the species of the box; ``species_id`` indexes it.
        sites: names of donor-site kinds, unique over the box, as ``"FSI:O"`` (species, colon, site);
            ``site_id`` indexes it and is −1 for an atom that is no donor site. An ion looked from
            (a monatomic cation) has no site.
        species_id: int32.
        molecule: int32.
        site_id: int32.
        element: str, "Li", "O", …
        name: str, the atom's name within its molecule.
        mass_amu: float64.
        charge_e: float64, as simulated (after any ion charge scaling); NaN where a foreign topology has none.
        parent: int32, the earlier atom of the same molecule that this one is placed beside when the molecule is made
            whole (``lmbmd.data.bonds.parents``); a first atom's is itself. Not given: the atom before.
        bonds: (n_bonds, 2) int64, the bonded atoms, each pair once, the earlier atom first; None if they are not known,
            as of a foreign topology without bonds.
        unit: int32, over the whole box. Not given: the molecule.
    """

    species: tuple[SpeciesInfo, ...]
    sites: tuple[str, ...]
    species_id: np.ndarray
    molecule: np.ndarray
    site_id: np.ndarray
    element: np.ndarray
    name: np.ndarray
    mass_amu: np.ndarray
    charge_e: np.ndarray
    parent: np.ndarray = None  # type: ignore[assignment]  # never None once made: __post_init__
    bonds: np.ndarray | None = None
    unit: np.ndarray = None  # type: ignore[assignment]  # never None once made: __post_init__

    def __post_init__(self) -> None:
        n = len(self.species_id)
        if self.parent is None:
            before = np.arange(n) - (np.diff(self.molecule, prepend=-1) == 0)
            object.__setattr__(self, "parent", before.astype(np.int32))
        if self.unit is None:
            object.__setattr__(self, "unit", self.molecule)
        for column in ("molecule", "site_id", "element", "name", "mass_amu", "charge_e", "parent", "unit"):
            if len(getattr(self, column)) != n:
                raise ValueError(f"{column} has {len(getattr(self, column))} entries for {n} atoms")
        for what, numbers in (("molecules", self.molecule), ("units", self.unit)):
            steps = np.diff(numbers)
            if n == 0 or numbers[0] != 0 or ((steps != 0) & (steps != 1)).any():
                raise ValueError(f"{what} must be contiguous and numbered 0, 1, 2 …")
        self._check_units()
        first = self.first_atom[self.molecule]
        if (self.parent < first).any() or (self.parent > np.maximum(np.arange(n) - 1, first)).any():
            raise ValueError("a parent is not an earlier atom of the same molecule")
        if self.bonds is not None:
            object.__setattr__(self, "bonds", self._checked_bonds(self.bonds))
        if self.species_id.min() < 0 or self.species_id.max() >= len(self.species):
            raise ValueError("species_id outside the species list")
        if self.site_id.min() < -1 or self.site_id.max() >= len(self.sites):
            raise ValueError("site_id outside the site list")

    def _check_units(self) -> None:
        names = [s.name for s in self.species]
        if len(set(names)) < len(names):
            raise ValueError("two species have one name")
        inside, together = np.diff(self.unit) == 0, np.diff(self.molecule) == 0
        if (inside & ~together).any():
            raise ValueError("a unit belongs to more than one molecule")
        if (np.diff(self.species_id)[inside] != 0).any():
            raise ValueError("a unit belongs to more than one species")
        chain = np.array([s.chain for s in self.species], dtype=object)[self.species_id]
        if (chain[1:] != chain[:-1])[together].any():
            raise ValueError("the units of a molecule are of more than one chain")
        if (chain[1:] == "")[together & ~inside].any():
            raise ValueError("a molecule of several units is of no chain")

    def _checked_bonds(self, bonds: np.ndarray) -> np.ndarray:
        pairs = np.unique(np.sort(np.asarray(bonds, np.int64).reshape(-1, 2), axis=1)[:, ::-1], axis=0)[:, ::-1]
        inside = (pairs >= 0).all() and (pairs < len(self)).all() and (pairs[:, 0] < pairs[:, 1]).all()
        if not inside or (self.molecule[pairs[:, 0]] != self.molecule[pairs[:, 1]]).any():
            raise ValueError("a bond is not between two atoms of one molecule")
        return pairs

    def __len__(self) -> int:
        return len(self.species_id)

    @cached_property
    def first_atom(self) -> np.ndarray:
        """Index of the first atom of each molecule, and the number of atoms at the end (int64)."""
        starts = np.flatnonzero(np.diff(self.molecule, prepend=-1))
        return np.append(starts, len(self)).astype(np.int64)

    @property
    def n_molecules(self) -> int:
        return len(self.first_atom) - 1

    @cached_property
    def molecule_species(self) -> np.ndarray:
        """Species of each molecule (int32); of a chain, that of its first unit."""
        return self.species_id[self.first_atom[:-1]]

    @cached_property
    def first_atom_of_unit(self) -> np.ndarray:
        """Index of the first atom of each unit, and the number of atoms at the end (int64)."""
        starts = np.flatnonzero(np.diff(self.unit, prepend=-1))
        return np.append(starts, len(self)).astype(np.int64)

    @property
    def n_units(self) -> int:
        return len(self.first_atom_of_unit) - 1

    @cached_property
    def unit_species(self) -> np.ndarray:
        """Species of each unit (int32)."""
        return self.species_id[self.first_atom_of_unit[:-1]]

    @cached_property
    def unit_molecule(self) -> np.ndarray:
        """Molecule of each unit (int32): the chain that it is in, or the small molecule that it is."""
        return self.molecule[self.first_atom_of_unit[:-1]]

    @cached_property
    def first_unit(self) -> np.ndarray:
        """Number of the first unit of each molecule, and the number of units at the end (int64)."""
        return np.append(self.unit[self.first_atom[:-1]], self.n_units).astype(np.int64)

    @cached_property
    def chain_molecules(self) -> np.ndarray:
        """The molecules that are chains, in order (int64)."""
        is_chain = np.array([bool(s.chain) for s in self.species])
        return np.flatnonzero(is_chain[self.molecule_species])

    @cached_property
    def chains(self) -> tuple[str, ...]:
        """Names of the kinds of chains in the box, in order of their species."""
        return tuple(dict.fromkeys(s.chain for s in self.species if s.chain))

    @cached_property
    def centres(self) -> np.ndarray:
        """Atoms looked from: every monatomic cation, in atom order (int64)."""
        sizes = np.diff(self.first_atom)
        roles = np.array([s.role for s in self.species], dtype=object)
        monatomic_cation = (sizes == 1) & (roles[self.molecule_species] == "cation")
        return self.first_atom[:-1][monatomic_cation]

    @cached_property
    def species_of_site(self) -> np.ndarray:
        """Index into ``species`` for each entry of ``sites`` (int32)."""
        names = [s.name for s in self.species]
        return np.array([names.index(site.split(":", 1)[0]) for site in self.sites], dtype=np.int32)

    def species_index(self, name: str) -> int:
        return [s.name for s in self.species].index(name)

    def count(self, name: str) -> int:
        """Number of small molecules, or of units, of a species."""
        return int((self.unit_species == self.species_index(name)).sum())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write to Parquet: a row per atom, species and sites in the file's metadata.

        A box without chains is written as before there were units, to the byte.
        """
        columns = {
            "species_id": self.species_id.astype(np.int32),
            "molecule": self.molecule.astype(np.int32),
            "site_id": self.site_id.astype(np.int32),
            "element": self.element.astype(str),
            "name": self.name.astype(str),
            "mass_amu": self.mass_amu.astype(float),
            "charge_e": self.charge_e.astype(float),
            "parent": np.asarray(self.parent, np.int32),
        }
        if self.n_units > self.n_molecules:
            columns["unit"] = np.asarray(self.unit, np.int32)
        table = pa.table({key: pa.array(list(v) if v.dtype.kind in "UO" else v) for key, v in columns.items()})
        if self.bonds is not None:  # in order of the later atom
            ends = np.searchsorted(self.bonds[:, 1], np.arange(len(self) + 1)).astype(np.int32)
            earlier = pa.array(self.bonds[:, 0].astype(np.int32))
            table = table.append_column("bonded", pa.ListArray.from_arrays(pa.array(ends), earlier))
        species = [{k: v for k, v in asdict(s).items() if k != "chain" or v} for s in self.species]
        header = json.dumps({"species": species, "sites": list(self.sites)})
        table = table.replace_schema_metadata({"lmbmd": header, SEAL: digest(header, table)})
        with replacing(path) as partial:
            pq.write_table(table, partial)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> AtomTable:
        """Read what ``write`` wrote.

        Raises:
            LmbmdError: if the file is missing, is not an atom table, or has changed since it was written.
        """
        try:
            table = pq.ParquetFile(path, memory_map=False).read()
            table.validate(full=True)
            said = table.schema.metadata
            header = json.loads(said[b"lmbmd"])
            # A file from before there was a hash is read: to refuse it would be to ask for a new box and a new run.
            if SEAL in said and said[SEAL].decode() != digest(said[b"lmbmd"].decode("utf-8"), table):
                raise ValueError("its content does not match its hash: changed or damaged since it was written")
            columns = {name: table[name].to_numpy() for name in table.column_names if name != "bonded"}
            if "bonded" in table.column_names:
                earlier = table["bonded"].combine_chunks()
                later = np.repeat(np.arange(len(earlier)), earlier.value_lengths().to_numpy())
                columns["bonds"] = np.column_stack([earlier.flatten().to_numpy(), later])
            species = tuple(SpeciesInfo(**s) for s in header["species"])
            return cls(species=species, sites=tuple(header["sites"]), **columns)
        except DAMAGE as error:
            raise LmbmdError(
                f"this is no atom table, or a damaged one ({told(error)}).",
                where=str(path),
                remedy="Run the build stage again, or give the atoms.parquet that it wrote.",
            ) from error
