"""What waves make of the frames of one replica: intensities, total and in parts, summed in blocks and bins of |q|."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.analysis.scattering.lengths import form_factor, neutron_kinds, neutron_length_fm, xray_kinds
from lmbmd.analysis.scattering.options import ScatteringOptions
from lmbmd.analysis.scattering.waves import modes, waves
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, told
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import DAMAGE

#: What a molecule or an ion is part of; of a cluster of two and more ions, whether it is a compact aggregate.
CLASSES = ("solvent", "alone", "cluster", "compact")
#: What weights atoms: electrons by their form factor, nuclei by their length, and centres alone, each with 1.
WEIGHTS = ("xray", "neutron", "centres")


@dataclass(frozen=True, eq=False)
class Scattered:
    """Sums over the wave vectors of one replica.

    B blocks of consecutive frames, W = 3 weights (``WEIGHTS``), P parts, Q bins. With A_a = Σ w exp(i k·r) over the
    atoms of part a, and N all atoms, they are sums over frames and wave vectors of |q| in a bin.

    Attributes:
        parts: (species, class) of each.
        width_per_A: of the bins, which begin at zero.
        smallest_per_A: the smallest wave vector of any frame.
        n_atoms: N.
        vectors: (B, Q) number of wave vectors.
        q_per_A: (B, Q) Σ |k|.
        pair: (B, W, P (P + 1) / 2, Q) Σ Re A_a A_b* / N, pairs in the order of ``np.triu_indices``; electrons², fm², 1.
        own: (B, W, P, Q) Σ Σ_(j in a) w_j² / N, what they would be if atoms were dealt at random.
        mean: (B, W, Q) Σ (Σ_j w_j / N)².
        frames: (B,) frames.
        density_per_A3: (B,) Σ N / V over frames.
    """

    parts: tuple[tuple[str, str], ...]
    width_per_A: float
    smallest_per_A: float
    n_atoms: int
    vectors: np.ndarray
    q_per_A: np.ndarray
    pair: np.ndarray
    own: np.ndarray
    mean: np.ndarray
    frames: np.ndarray
    density_per_A3: np.ndarray

    _ARRAYS = ("vectors", "q_per_A", "pair", "own", "mean", "frames", "density_per_A3")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write all of it, whole or not at all."""
        facts = [list(self.parts), self.width_per_A, self.smallest_per_A, self.n_atoms]
        with replacing(path) as partial, open(partial, "wb") as handle:
            arrays = {name: getattr(self, name) for name in self._ARRAYS}
            np.savez_compressed(handle, facts=np.array(json.dumps(facts)), **arrays)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Scattered:
        """Read what ``write`` wrote.

        Raises:
            LmbmdError: if it is missing, damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                parts, width, smallest, n_atoms = json.loads(str(data["facts"]))
                arrays = {name: np.asarray(data[name], float) for name in cls._ARRAYS}
            found = cls(
                tuple((str(a), str(b)) for a, b in parts), float(width), float(smallest), int(n_atoms), **arrays
            )
            n, bins = len(found.parts), found.vectors.shape[1]
            blocks = len(found.frames)
            shapes = {
                "vectors": (blocks, bins),
                "q_per_A": (blocks, bins),
                "pair": (blocks, len(WEIGHTS), n * (n + 1) // 2, bins),
                "own": (blocks, len(WEIGHTS), n, bins),
                "mean": (blocks, len(WEIGHTS), bins),
                "density_per_A3": (blocks,),
            }
            if any(arrays[name].shape != shape for name, shape in shapes.items()) or not blocks:
                raise ValueError("its arrays do not fit each other")
            if not all(np.isfinite(one).all() for one in arrays.values()):
                raise ValueError("it holds what is no number")
        except (*DAMAGE, IndexError, AttributeError) as error:
            raise LmbmdError(
                f"this is no file of scattering, or a damaged one ({told(error)}).",
                where=str(Path(path)),
                remedy="Run the scattering stage again.",
            ) from error
        return found


class Scattering:
    """Fold over frames of one replica.

    Args:
        atoms: who the atoms are.
        centre: the primary species.
        n_frames: how many frames will be added.
        options: see ``ScatteringOptions``.

    Raises:
        LmbmdError: if an element has no form factor or no scattering length.
    """

    def __init__(self, atoms: AtomTable, centre: str, n_frames: int, options: ScatteringOptions | None = None) -> None:
        self._options = options or ScatteringOptions()
        self._atoms, self._n_frames = atoms, n_frames
        self._kinds = _Kinds(atoms, centre, self._options.deuterated)
        blocks = min(self._options.n_blocks, n_frames)
        bins = int(np.ceil(self._options.q_max_per_A / self._options.q_bin_per_A - 1e-9))
        self.parts = tuple((s.name, c) for s in atoms.species for c in CLASSES)
        n = len(self.parts)
        self._seen, self._smallest = 0, np.inf
        self._vectors, self._q = np.zeros((2, blocks, bins))
        self._pair = np.zeros((blocks, len(WEIGHTS), n * (n + 1) // 2, bins))
        self._own = np.zeros((blocks, len(WEIGHTS), n, bins))
        self._mean = np.zeros((blocks, len(WEIGHTS), bins))
        self._frames, self._density = np.zeros((2, blocks))

    def add(self, frame: Frame, unit_class: np.ndarray) -> None:
        """Add one frame.

        Args:
            frame: all atoms, in whichever image.
            unit_class: (n_units,) int, the place in ``CLASSES`` of the class of each unit.
        """
        atoms, options, kinds = self._atoms, self._options, self._kinds
        block = self._seen * len(self._frames) // self._n_frames
        cell = Cell(frame.box).reduced
        rng = np.random.default_rng([options.seed, self._seen])
        found = waves(cell, options.q_max_per_A, options.q_bin_per_A, options.vectors_per_bin, rng)
        if not len(found.q_per_A):
            raise LmbmdError(
                f"the box has no wave vector up to {options.q_max_per_A:g} 1/Å.",
                where=f"frame {frame.index}",
                remedy="Raise q_max_per_A.",
            )
        part = atoms.species_id * len(CLASSES) + unit_class[atoms.unit]
        label = part * len(kinds.names) + kinds.of_atom
        order = np.argsort(label, kind="stable")
        present, start = np.unique(label[order], return_index=True)
        rho = modes(frame.positions[order], cell, found.steps, np.append(start, len(order)))
        size = np.diff(start, append=len(order))
        part, kind = np.divmod(present, len(kinds.names))
        here, place = np.unique(part, return_inverse=True)
        n, bins = len(self.parts), self._vectors.shape[1]
        upper = np.full((n, n), -1)
        upper[np.triu_indices(n)] = np.arange(n * (n + 1) // 2)
        # Sums of consecutive wave vectors in order of their bins.
        by_bin = np.argsort(found.bin, kind="stable")
        used, first = np.unique(found.bin[by_bin], return_index=True)
        total = lambda values: np.add.reduceat(values, first, axis=-1)  # noqa: E731
        q = found.q_per_A[by_bin]
        rho = rho[:, by_bin]
        self._vectors[block] += np.bincount(found.bin, minlength=bins)
        self._q[block, used] += total(q)
        for w, weight in enumerate(kinds.weights(q)):
            amplitude, own = np.zeros((2, len(here), len(q))), np.zeros((len(here), len(q)))
            for g in np.flatnonzero(weight[kind].any(axis=1)):
                amplitude[0, place[g]] += weight[kind[g]] * rho[g].real
                amplitude[1, place[g]] += weight[kind[g]] * rho[g].imag
                own[place[g]] += size[g] * weight[kind[g]] ** 2
            some = np.flatnonzero(own.any(axis=1))
            self._own[block, w, here[some, None], used] += total(own[some]) / len(atoms)
            self._mean[block, w, used] += total((size @ weight[kind] / len(atoms)) ** 2)
            real, imag = amplitude[:, some]
            for a in range(len(some)):
                pairs = upper[here[some[a]], here[some[a:]]]
                self._pair[block, w, pairs[:, None], used] += total(real[a] * real[a:] + imag[a] * imag[a:]) / len(
                    atoms
                )
        self._frames[block] += 1
        self._density[block] += len(atoms) / frame.volume_A3
        self._smallest = min(self._smallest, float(q.min()))
        self._seen += 1

    def result(self) -> Scattered:
        """The sums; parts that no frame had are left out."""
        if self._seen != self._n_frames:
            raise ValueError(f"{self._seen} frames were added, {self._n_frames} announced")
        n = len(self.parts)
        seen = np.flatnonzero(self._own[:, :2].any(axis=(0, 1, 3)))
        a, b = np.triu_indices(n)
        pairs = np.isin(a, seen) & np.isin(b, seen)
        return Scattered(
            tuple(self.parts[k] for k in seen),
            self._options.q_bin_per_A,
            self._smallest,
            len(self._atoms),
            self._vectors,
            self._q,
            self._pair[:, :, pairs],
            self._own[:, :, seen],
            self._mean,
            self._frames,
            self._density,
        )


class _Kinds:
    """Atoms that scatter alike, whatever is weighted, and their weights."""

    def __init__(self, atoms: AtomTable, centre: str, deuterated: Collection[str]) -> None:
        is_centre = np.zeros(len(atoms), bool)
        is_centre[atoms.centres] = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        rows = zip(xray_kinds(atoms), neutron_kinds(atoms, deuterated), is_centre.tolist(), strict=True)
        found: dict[tuple[str, str, bool], int] = {}
        self.of_atom = np.array([found.setdefault(row, len(found)) for row in rows])
        self.names = tuple(found)
        self._lengths = np.array([[neutron_length_fm(nucleus)] for _, nucleus, _ in self.names])
        self._centre = np.array([[float(is_one)] for _, _, is_one in self.names])
        for electrons, _, _ in self.names:
            form_factor(electrons, np.zeros(1))

    def weights(self, q_per_A: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each of ``WEIGHTS``, (n_kinds, n) at these q."""
        electrons = np.array([form_factor(electrons, q_per_A) for electrons, _, _ in self.names])
        even = np.ones((1, len(q_per_A)))
        return electrons, self._lengths * even, self._centre * even
