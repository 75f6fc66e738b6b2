"""Everything that is said about one state point: one pass over the contacts of each replica, then tables.

Which fold makes which table is written in ``_Replica`` and ``describe``; what each number means in
docs/theory/descriptors.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from lmbmd.analysis.clusters.cipa import compact_share
from lmbmd.analysis.clusters.cipa_account import cipa_tables
from lmbmd.analysis.clusters.compactness import Compactness
from lmbmd.analysis.clusters.components import Clusters
from lmbmd.analysis.clusters.components_account import cluster_tables
from lmbmd.analysis.clusters.options import CipaThresholds
from lmbmd.analysis.convergence import convergence, few_molecules
from lmbmd.analysis.dynamics.lifetimes import Residence
from lmbmd.analysis.dynamics.lifetimes_account import residence_tables
from lmbmd.analysis.error_tables import error_tables
from lmbmd.analysis.liquid import Recipe, composition_table
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.shells.coordination import Shells, kind
from lmbmd.analysis.shells.coordination_account import shell_tables
from lmbmd.analysis.shells.cutoffs import (
    Cutoff,
    Cutoffs,
    centre_species,
    first_shell_cutoffs,
    second_shell_cutoffs,
)
from lmbmd.analysis.shells.radial import pooled_rdf, radial_tables
from lmbmd.analysis.shells.speciation import SecondShell, Speciation
from lmbmd.analysis.shells.speciation_account import separation_tables, speciation_tables
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.units import PS_PER_NS
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import Contacts, FrameContacts
from lmbmd.data.described import Described, descriptor_frame
from lmbmd.data.rdf import Rdf
from lmbmd.numbers.doubt import entry
from lmbmd.numbers.estimate import estimate_mean

#: Points per replica and quantity in the table ``timeseries``; longer runs are averaged over stretches.
TIMESERIES_POINTS = 500


def primary_centre(atoms: AtomTable, name: str = "") -> str:
    """The species whose shells are described.

    Raises:
        LmbmdError: if there is no monatomic cation, none of this name, or several and none is lithium.
    """
    centres = centre_species(atoms)
    if not centres:
        raise LmbmdError("there is no monatomic cation to look from.", remedy="Give the centre a role of 'cation'.")
    if name:
        if name not in centres:
            raise LmbmdError(f"'{name}' is no centre of this box.", remedy=nearest(name, centres))
        return name
    elements = dict(zip(atoms.species_id[atoms.centres], atoms.element[atoms.centres], strict=True))
    lithium = [atoms.species[k].name for k, element in elements.items() if element == "Li"]
    if lithium or len(centres) == 1:
        return (lithium or centres)[0]
    raise LmbmdError(f"there are several centres: {', '.join(centres)}.", remedy="Say which with the option 'centre'.")


def describe(
    runs: Sequence[tuple[Contacts, Rdf]],
    atoms: AtomTable,
    options: DescribeOptions | None = None,
    composition: Recipe | None = None,
    progress: bool = True,
) -> Described:
    """Describe a state point from the contacts and RDFs of its replicas.

    Each contact table is read once, frame by frame; what is kept per frame are counts, so memory grows with frames
    by a few hundred bytes each.

    Args:
        runs: contacts and RDFs, one pair per replica of the same box.
        atoms: who the atoms are.
        options: see ``DescribeOptions``.
        composition: what was asked for; without it the composition is told by species.
        progress: show a progress bar on a terminal.

    Returns:
        descriptors (docs/theory/descriptors.md), the tables behind the figures, notes, and facts (centre, options,
        frames and time per replica, stage).

    Raises:
        LmbmdError: if there is no run, centre or frame, replicas do not fit together, or an option is wrong.
    """
    options = options or DescribeOptions()
    if not runs:
        raise LmbmdError("there is no run to describe.", remedy="Run the contacts stage first.")
    centre = primary_centre(atoms, options.centre)
    rdfs = [rdf for _, rdf in runs]
    rdf = pooled_rdf(rdfs)
    cutoffs = first_shell_cutoffs(rdf, atoms, options.cutoffs_A, options.cutoff_window_A, options.cutoff_fallback_A)
    second = second_shell_cutoffs(rdf, atoms, centre)
    _check_reach(cutoffs, [contacts for contacts, _ in runs], options.cutoff_shift_A)
    replicas = []
    for number, (contacts, _) in enumerate(runs, start=1):
        replica = _Replica(atoms, centre, cutoffs, second, options, contacts.n_frames)
        bar = {"desc": f"describe replica {number}", "unit": "frame", "disable": None if progress else True}
        for frame in tqdm(contacts, total=contacts.n_frames, **bar):
            replica.add(frame, number)
        replicas.append(replica)
    return _Account(atoms, centre, options, rdfs, cutoffs, second, replicas, composition).described()


def _check_reach(cutoffs: Cutoffs, tables: Sequence[Contacts], shift_A: float) -> None:
    longest = max(cutoffs.rows, key=lambda row: row.cutoff_A, default=None)
    for number, contacts in enumerate(tables, start=1):
        if not contacts.n_frames:
            raise LmbmdError(
                "its contact table holds no frame.", where=f"replica {number}", remedy="Run the contacts stage again."
            )
        if longest and longest.cutoff_A + shift_A > contacts.search_radius_A + 1e-6:
            raise LmbmdError(
                f"the cut-off of {longest.centre}–{longest.partner}, {longest.cutoff_A:.2f} Å, plus the shift of "
                f"{shift_A:g} Å is beyond the search radius of {contacts.search_radius_A:g} Å.",
                where=f"replica {number}",
                remedy="Give smaller cut-offs, or search contacts with a larger search_radius_A.",
            )


class _Replica:
    """All folds of one replica, fed frame by frame."""

    def __init__(
        self,
        atoms: AtomTable,
        centre: str,
        cutoffs: Cutoffs,
        second: Sequence[Cutoff],
        options: DescribeOptions,
        n_frames: int,
    ) -> None:
        self._atoms, self._cutoffs = atoms, cutoffs
        anions = [s.name for s in atoms.species if kind(s) == "anion"]
        found = {row.partner: row for row in second}
        # An anion without a donor site has no contacts and no second shell to be in.
        nothing = [0.0, *[float("nan")] * 4, "it has no donor site"]
        self.edges = {name: found.get(name, Cutoff(centre, name, *nothing)) for name in anions}
        radius = {name: 0.0 if np.isnan(edge.cutoff_A) else edge.cutoff_A for name, edge in self.edges.items()}
        self.shells, self.speciation = Shells(atoms, centre), Speciation(atoms, centre)
        self.separation = SecondShell(atoms, centre, radius)
        self.clusters, self.residence = Clusters(atoms), Residence(atoms)
        self.compactness = Compactness(atoms, n_frames, options.compactness)
        self._folds = [self.shells, self.speciation, self.separation, self.clusters]
        shifts = (-options.cutoff_shift_A, options.cutoff_shift_A)
        self.shifted = {shift: (Shells(atoms, centre), Speciation(atoms, centre)) for shift in shifts}
        self.irregular = ""
        self.volume_A3: list[float] = []
        self.time_ps: list[float] = []

    def add(self, full: FrameContacts, number: int) -> None:
        if len(full.molecule) != self._atoms.n_molecules or len(full.centre) != len(self._atoms.centres):
            raise LmbmdError(
                "its contacts are of another box than the atom table.",
                where=f"replica {number}, frame {full.index}",
                remedy="Replicas described together must hold the same molecules in the same order.",
            )
        shell = self._cutoffs.first_shell(full, self._atoms)
        for fold in self._folds:
            fold.add(shell, full)
        if not self.irregular:
            try:
                self.residence.add(shell, full)
            except LmbmdError as error:
                self.irregular = f"Replica {number}: {error}"
        moved = {shift: self._cutoffs.first_shell(full, self._atoms, shift) for shift in self.shifted}
        for shift, folds in self.shifted.items():
            for fold in folds:
                fold.add(moved[shift], full)
        self.compactness.add(shell, full, moved)
        self.volume_A3.append(full.volume_A3)
        self.time_ps.append(full.time_ps)

    @property
    def sampled_ns(self) -> float:
        return (self.time_ps[-1] - self.time_ps[0]) / PS_PER_NS


@dataclass(frozen=True, eq=False)
class _Account:
    """From finished folds to a Described."""

    atoms: AtomTable
    centre: str
    options: DescribeOptions
    rdfs: Sequence[Rdf]
    cutoffs: Cutoffs
    second: Sequence[Cutoff]
    replicas: Sequence[_Replica]
    recipe: Recipe | None

    def described(self) -> Described:
        atoms, centre, replicas, options = self.atoms, self.centre, self.replicas, self.options
        shells = [r.shells.result() for r in replicas]
        speciation = [r.speciation.result() for r in replicas]
        clusters = [r.clusters.result() for r in replicas]
        measured = [r.compactness.result() for r in replicas]
        moved = {shift: [r.compactness.result(shift) for r in replicas] for shift in replicas[0].shifted}
        by_shift = {
            shift: (
                [r.shifted[shift][0].result() for r in replicas],
                [r.shifted[shift][1].result() for r in replicas],
                m,
            )
            for shift, m in moved.items()
        }
        by_shift[0.0] = shells, speciation, measured
        separation = [r.separation.result() for r in replicas], replicas[0].separation.labels
        volumes = [np.array(r.volume_A3) for r in replicas]
        series = _series(shells, speciation, clusters, atoms)
        density = self._density(volumes)
        if any(np.ptp(v) for v in volumes):  # a box of fixed size cannot drift
            series["density_g_cm3"] = density
        lifetimes = self._lifetimes()
        parts = [
            radial_tables(self.rdfs, self.cutoffs, self.second, shells, centre),
            shell_tables(shells, atoms, centre, options.top_shells),
            speciation_tables(speciation, centre, options.agg_ii_from),
            separation_tables(*separation, atoms, centre, replicas[0].edges),
            cluster_tables(clusters, atoms),
            cipa_tables(clusters, measured, atoms, options.cipa, moved),
            lifetimes,
            self._composition(volumes),
        ]
        rows = [row for part in parts for row in part[0]]
        tables = {name: table for part in parts for name, table in part[1].items()}
        tables["sensitivity"] = _sensitivity(by_shift, options.cipa)
        tables["timeseries"] = self._timeseries({**series, "density_g_cm3": density})
        tables |= error_tables(series, [np.array(r.time_ps) for r in replicas])
        notes, tables["convergence"] = convergence(
            [r.sampled_ns for r in replicas],
            atoms.count(centre),
            centre,
            series,
            _residence_times(lifetimes),
            self._diluents(shells, lifetimes),
        )
        notes += [note for part in parts if len(part) > 2 for note in part[2] if note["topic"] != "convergence"]
        notes += few_molecules({s.name: atoms.count(s.name) for s in atoms.species})
        return Described(descriptor_frame(rows), tables, tuple(notes), self._facts())

    def _facts(self) -> dict:
        return {
            "stage": stages.DESCRIBE,
            "centre": self.centre,
            "options": self.options.model_dump(),
            "replicas": [{"frames": len(r.time_ps), "sampled_ns": r.sampled_ns} for r in self.replicas],
        }

    def _composition(self, volumes: list[np.ndarray]) -> tuple:
        rows, table = composition_table(volumes, self.atoms, self.recipe)
        return rows, {"composition": table}

    def _density(self, volumes: list[np.ndarray]) -> list[np.ndarray]:
        table = composition_table([np.ones(1)], self.atoms)[1]
        per_volume = float(table[table.quantity == "density"].simulated.iloc[0])
        return [per_volume / v for v in volumes]

    def _lifetimes(self) -> tuple:
        why = next((r.irregular for r in self.replicas if r.irregular), "")
        try:
            if not why:
                return residence_tables([r.residence.result() for r in self.replicas], self.atoms)
        except LmbmdError as error:  # replicas written at different intervals
            why = str(error)
        return [], {}, [{"topic": "statistics", "text": f"Lifetimes were not computed. {why}"}]

    def _diluents(self, shells: Sequence, lifetimes: tuple) -> dict[str, tuple[float, str]]:
        """Diluent → its CN round the primary centre, and the outcome of measuring how long its contacts last."""
        outcomes = {}
        if "residence" in lifetimes[1]:
            times = lifetimes[1]["residence"]
            times = times[(times.centre == self.centre) & (times.correlation == "intermittent")]
            outcomes = dict(zip(times.partner, times.outcome, strict=True))
        names = _present(self.atoms, "diluent")
        return {name: (estimate_mean(_cn(shells, [name])).value, outcomes.get(name, "")) for name in names}

    def _timeseries(self, series: Mapping[str, list[np.ndarray]]) -> pd.DataFrame:
        tables = []
        for quantity, runs in series.items():
            for number, (values, replica) in enumerate(zip(runs, self.replicas, strict=True), start=1):
                time, mean = _thinned(np.array(replica.time_ps), np.asarray(values, float))
                columns = {"replica": number, "time_ps": time, "quantity": quantity, "value": mean}
                tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)


def _present(atoms: AtomTable, which: str) -> list[str]:
    """Species of one kind that have molecules in the box."""
    return [s.name for s in atoms.species if kind(s) == which and atoms.count(s.name)]


def _cn(shells: Sequence, names: Sequence[str]) -> list[np.ndarray]:
    """Molecules of these species per centre, frame by frame."""
    columns = [shells[0].ligands.index(name) for name in names]
    return [r.molecules[:, columns].sum(axis=1) / r.n_centres for r in shells]


def _series(
    shells: Sequence, speciation: Sequence, clusters: Sequence, atoms: AtomTable
) -> dict[str, list[np.ndarray]]:
    """What is watched over time: coordination, in total and by kind, speciation, cluster size."""
    has_anions = len(speciation[0].n_anions) > 0
    of = lambda convention, k: [r.fractions(convention)[:, k] for r in speciation]  # noqa: E731
    watched = {"total_cn": _cn(shells, shells[0].ligands)}
    # One kind may take the place of another at the same total.
    for which in ("solvent", "anion", "diluent"):
        if names := _present(atoms, which):
            watched[f"{which}_cn"] = _cn(shells, names)
    if has_anions:
        watched["cip_fraction_centre"], watched["agg_fraction_centre"] = of("centre", 1), of("centre", 2)
        watched["agg_fraction_anion"] = of("anion", 2)
        watched["cluster_size_weight_average"] = [r.series["cluster_size_weight_average"] for r in clusters]
    return watched


def _thinned(time_ps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``TIMESERIES_POINTS`` means over stretches of equal length; leftover frames make a shorter last one."""
    length = -(-len(values) // TIMESERIES_POINTS)
    starts = np.arange(0, len(values), length)
    count = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(time_ps, starts) / count, np.add.reduceat(values, starts) / count


def _sensitivity(by_shift: Mapping[float, tuple[Sequence, ...]], thresholds: CipaThresholds) -> pd.DataFrame:
    """Quantities counted again with every cut-off moved: rows by quantity, then by shift."""
    found: dict[str, list[tuple]] = {}
    for shift, (shells, speciation, measured) in sorted(by_shift.items()):
        quantities = {"total_cn": [r.molecules.sum(axis=1) / r.n_centres for r in shells]}
        for convention in ("centre", "anion", "cluster"):
            fractions = [r.fractions(convention) for r in speciation]
            quantities[f"cip_fraction_{convention}"] = [f[:, 1] for f in fractions]
            quantities[f"agg_fraction_{convention}"] = [f[:, 2] for f in fractions]
        quantities["cipa_compact_share"] = [compact_share(r, thresholds) for r in measured]
        for name, series in quantities.items():
            mean = estimate_mean(series)
            found.setdefault(name, []).append((name, shift, *entry(mean)))
    rows = [row for these in found.values() for row in these]
    return pd.DataFrame(rows, columns=["quantity", "cutoff_shift_A", "value", "error", "doubt"])


def _residence_times(lifetimes: tuple) -> dict[str, tuple[float, str]]:
    """Anion → length of the shortest run in its residence times, and the outcome of measuring them."""
    found = {}
    for row in lifetimes[0]:
        if row.name == "run_length_in_residence_times":
            found[row.species] = (row.value, row.method.partition("; ")[2])
    return found
