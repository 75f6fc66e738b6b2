"""SSIP, CIP and AGG in three named conventions.

Theory: docs/theory/speciation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.analysis.shells.coordination import PerFrame, row_histograms
from lmbmd.data.atoms import AtomTable

CONVENTIONS = ("centre", "anion", "cluster")
CLASSES = ("SSIP", "CIP", "AGG")


@dataclass(frozen=True, eq=False)
class SpeciationResult:
    """Speciation of one replica; counts per frame.

    Attributes:
        n_centres: centres of the primary species.
        anions: names of the anion species; n_anions: (n_species,) molecules of each.
        time_ps: (n_frames,).
        anions_per_centre: (n_frames, n_species + 1, m) primary centres in contact with 0 … m − 1 anions of a
            species; the last row counts anions of all species together.
        centres_per_anion: (n_frames, n_species, m) anions in contact with 0 … m − 1 centres of any species.
        cluster: (n_frames, 3) primary centres in contact clusters of 1, 2, and more ions.
    """

    n_centres: int
    anions: tuple[str, ...]
    n_anions: np.ndarray
    time_ps: np.ndarray
    anions_per_centre: np.ndarray
    centres_per_anion: np.ndarray
    cluster: np.ndarray

    def fractions(self, convention: str) -> np.ndarray:
        """(n_frames, 3) fractions SSIP, CIP, AGG, which sum to one in every frame; NaN without a centre or anion.

        ``"centre"``: primary centres with 0, 1, ≥ 2 anions. ``"anion"``: anions (of all species) with 0, 1, ≥ 2
        centres. ``"cluster"``: primary centres in contact clusters of 1, 2, > 2 ions.
        """
        if convention == "centre":
            counts = _three(self.anions_per_centre[:, -1])
        elif convention == "anion":
            counts = _three(self.centres_per_anion.sum(axis=1))
        elif convention == "cluster":
            counts = self.cluster
        else:
            raise ValueError(f"no convention {convention!r}")
        total = counts.sum(axis=1, keepdims=True)
        return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)

    def agg_parts(self, second_from: int = 3) -> np.ndarray:
        """(n_frames, 2) fractions of anions that are AGG-I (2 … second_from − 1 centres) and AGG-II (more)."""
        counts = self.centres_per_anion.sum(axis=1)
        parts = np.column_stack([counts[:, 2:second_from].sum(axis=1), counts[:, second_from:].sum(axis=1)])
        total = self.n_anions.sum()
        return parts / total if total else np.full(parts.shape, np.nan)


def _three(histogram: np.ndarray) -> np.ndarray:
    """(n_frames, m) histogram of 0 … m − 1 → (n_frames, 3) for 0, 1, ≥ 2."""
    return np.column_stack([histogram[:, 0], histogram[:, 1:2].sum(axis=1), histogram[:, 2:].sum(axis=1)])


class Speciation:
    """Fold over the frames of one replica: anions per centre, centres per anion, contact-cluster classes.

    An anion counts once per centre, through however many atoms it is bound. Centres of other species than the
    primary one count as neighbours of anions and as members of clusters, but are not themselves classified.

    Args:
        atoms: who the atoms are.
        centre: the primary species.

    Raises:
        ValueError: if the species is no centre of this box; from ``result`` if no frame was added.
    """

    def __init__(self, atoms: AtomTable, centre: str) -> None:
        self._atoms, self._ions = atoms, ions_of(atoms)
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        if not self._primary.any():
            raise ValueError(f"{centre} is no centre of this box")
        molecules = self._ions.unit[self._ions.n_centres :]
        species = atoms.unit_species[molecules]
        self._species = np.unique(species)
        # Position of each anion node's species among the anion species.
        self._kind = np.searchsorted(self._species, species)
        self._time: list[float] = []
        self._counts = [PerFrame() for _ in range(3)]

    def add(self, shell: FirstShell) -> None:
        """Add one frame."""
        pairs, graph = shell.pairs, shell.graph
        anion = self._ions.node[pairs.unit] - self._ions.n_centres
        centre, anion = pairs.centre[anion >= 0], anion[anion >= 0]
        n_species, n_centres = len(self._species), len(self._primary)
        per_centre = np.zeros((n_species + 1, n_centres), np.int64)
        np.add.at(per_centre, (self._kind[anion], centre), 1)
        per_centre[-1] = per_centre[:-1].sum(axis=0)
        per_centre = per_centre[:, self._primary]
        row = np.repeat(np.arange(n_species + 1), per_centre.shape[1])
        size = graph.size[graph.label[:n_centres][self._primary]]
        rows = (
            row_histograms(row, per_centre.ravel(), n_species + 1),
            row_histograms(self._kind, np.bincount(anion, minlength=len(self._kind)), n_species),
            np.bincount(np.minimum(size, 3), minlength=4)[1:],
        )
        for counts, counted in zip(self._counts, rows, strict=True):
            counts.append(counted)
        self._time.append(shell.contacts.time_ps)

    def result(self) -> SpeciationResult:
        per_centre, per_anion, cluster = (counts.result() for counts in self._counts)
        return SpeciationResult(
            n_centres=int(self._primary.sum()),
            anions=tuple(self._atoms.species[k].name for k in self._species),
            n_anions=np.bincount(self._kind, minlength=len(self._species)),
            time_ps=np.array(self._time),
            anions_per_centre=per_centre,
            centres_per_anion=per_anion,
            cluster=cluster,
        )
