"""Everything that is said about one state point: one pass over the contacts of each replica, then accounts.

A loop over the families (``lmbmd.analysis.families``), which know what each number means; see also
docs/theory/descriptors.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.convergence_account import convergence_account
from lmbmd.analysis.dynamics.segments import Segment
from lmbmd.analysis.families import FAMILIES, family, schemas
from lmbmd.analysis.family import Family, Findings, Recipe, Setting, with_radius_errors, without_radius_errors
from lmbmd.analysis.first_shell import first_shell
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.radial_account import pooled_rdf
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.shells.cutoffs import Cutoff, Cutoffs, centre_species, first_shell_cutoffs, second_shell_cutoffs
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.progress import Progress
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import Contacts, FrameContacts
from lmbmd.data.described import Described, descriptor_frame
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.quantum.run import Energies

#: Temperatures nearer to each other than this are one, K.
SAME_K = 0.5


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
    motion: Sequence[Segment] = (),
    scattering: AskedScattering | None = None,
    energies: Sequence[Energies] = (),
    sample: Iterable[Frame] = (),
) -> Described:
    """Describe a state point from the contacts and RDFs of its replicas.

    Each contact table is read once, frame by frame; what is kept per frame are counts, so memory grows with frames
    by a few hundred bytes each.

    Args:
        runs: contacts and RDFs, one pair per replica of the same box.
        atoms: who the atoms are.
        options: see ``DescribeOptions``.
        composition: what was asked for; without it the composition is told by species.
        progress: say how far it is: a bar on a terminal, lines elsewhere.
        motion: where motion is read from, in order of replica; if none are given, from the runs themselves, of which
            then neither temperature nor thermostat is known.
        scattering: what the scattering stage found, if it was asked for.
        energies: what the quantum stage found of each replica, if it was asked for.
        sample: whole frames of the first run (``trajectory.sample``), for the dipoles of molecules.

    Returns:
        descriptors (docs/theory/descriptors.md), the tables behind the figures, notes, and facts (centre, options,
        frames and time per replica, stage).

    Raises:
        LmbmdError: if there is no run, centre or frame, replicas do not fit together, or an option is wrong; if the
            segments of ``motion`` differ in temperature.
    """
    options = options or DescribeOptions()
    if not runs:
        raise LmbmdError("there is no run to describe.", remedy="Run the contacts stage first.")
    centre = primary_centre(atoms, options.centre)
    rdf = pooled_rdf([rdf for _, rdf in runs])
    cutoffs = first_shell_cutoffs(rdf, atoms, options.cutoffs_A, options.cutoff_window_A, options.cutoff_fallback_A)
    tables = [contacts for contacts, _ in runs]
    segments = tuple(motion) or tuple(Segment(table, number) for number, table in enumerate(tables, start=1))
    _check_temperatures(segments)
    of_motion = [segment.contacts for segment in segments]
    is_apart = of_motion != tables
    _check_reach(cutoffs, [*tables, *(of_motion if is_apart else ())], options.cutoff_shift_A)
    setting = Setting(
        atoms=atoms,
        centre=centre,
        options=options,
        rdfs=tuple(rdf for _, rdf in runs),
        cutoffs=cutoffs,
        second=second_shell_cutoffs(rdf, atoms, centre),
        n_frames=tuple(contacts.n_frames for contacts in tables),
        recipe=composition,
        segments=segments,
        scattering=scattering,
        energies=tuple(energies),
        sample=sample,
    )
    families = [family(name) for name in FAMILIES]
    uncertain = [row for row in cutoffs.rows if row.is_uncertain]
    reach_A = min(contacts.search_radius_A for contacts in tables)
    moved = [_moved(setting, row, by, reach_A) for row in uncertain for by in (-row.error_A, row.error_A)]
    counted = [one for one in families if one.shifted or one.radius_errors]

    def counts(of: Sequence[Family], tables: Sequence[Contacts], word: str) -> list[Findings]:
        """What these families find in the tables, and again what those of them do that depend on uncertain cut-offs."""
        n_frames = tuple(table.n_frames for table in tables)
        again = [one for one in of if one in counted]
        whole = replace(setting, n_frames=n_frames), of, setting.shifts_A
        jobs = [whole, *((replace(other, n_frames=n_frames), again, ()) for other in moved)]
        return _fold(tables, jobs, progress, word)

    of_runs = [one for one in families if not (is_apart and one.of_motion)]
    in_runs = in_segments = counts(of_runs, tables, "replica")
    if is_apart:
        in_segments = counts([one for one in families if one.of_motion], of_motion, "segment")
    told = ", ".join(f"{row.centre}–{row.partner}, {row.cutoff_A:.2f} ± {row.error_A:.2f} Å" for row in uncertain)
    found, accounts = in_runs[0], []
    for one in families:
        whole, *others = in_segments if one.of_motion else in_runs
        account = one.account(whole)
        if one in counted:
            each = [one.account(other) for other in others]
            pairs = list(zip(each[::2], each[1::2], strict=True))
            account = with_radius_errors(account, pairs, told, tables=one.shifted)
        elif one.radius_errors is False:
            account = without_radius_errors(account, told)
        accounts.append(account)
    overall = convergence_account(found, families, accounts)
    notes = [note for account in (overall, *accounts) for note in account.notes]
    facts = {
        "stage": stages.DESCRIBE,
        "centre": centre,
        "options": options.model_dump(),
        "replicas": [
            {"frames": len(time), "sampled_ns": ns} for time, ns in zip(found.time_ps, found.sampled_ns, strict=True)
        ],
        **({"scattering": scattering.options.facts()} if scattering else {}),
        **({"quantum": energies[0].facts["options"]} if energies else {}),
    }
    return Described(
        descriptor_frame([row for account in accounts for row in account.rows]),
        {name: table for account in (*accounts, overall) for name, table in account.tables.items()},
        tuple(notes),
        facts,
        schemas(),
    )


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


def _check_temperatures(segments: Sequence[Segment]) -> None:
    known = {segment.temperature_K for segment in segments if segment.temperature_K == segment.temperature_K}
    if known and max(known) - min(known) > SAME_K:
        raise LmbmdError(
            f"the runs to read motion from have different temperatures: {min(known):g} and {max(known):g} K.",
            remedy="Describe each temperature by itself.",
        )


def _moved(setting: Setting, row: Cutoff, by_A: float, reach_A: float) -> Setting:
    """The same with one cut-off moved, and every shell type a descriptor; no further than contacts were looked for."""
    by_A = min(by_A, reach_A - row.cutoff_A)
    options = setting.options.model_copy(update={"top_shells": 1000})
    return replace(setting, cutoffs=setting.cutoffs.moved(row, by_A, setting.atoms), options=options)


#: A setting, the families that are described with it, and the shifts of all cut-offs that go with it.
Job = tuple[Setting, Sequence[Family], Sequence[float]]


def _fold(tables: Sequence[Contacts], jobs: Sequence[Job], progress: bool, word: str = "replica") -> list[Findings]:
    """All folds of all families, fed frame by frame, one replica (or segment) after the other; findings for each job.

    All settings are of the same box and differ in their cut-offs only: each frame is read once.
    """
    atoms = jobs[0][0].atoms
    ions = ions_of(atoms)
    beginnings = [
        {
            (fold, shift): begin
            for one in families
            for fold, begin in one.folds.items()
            for shift in (0.0, *(shifts_A if one.shifted else ()))
        }
        for _, families, shifts_A in jobs
    ]
    folds: list[dict] = [{key: [] for key in of_job} for of_job in beginnings]
    times, volumes = [], []
    for number, contacts in enumerate(tables, start=1):
        for (setting, _, _), of_job, kept in zip(jobs, beginnings, folds, strict=True):
            for key, begin in of_job.items():
                kept[key].append(begin(setting, number))
        time_ps, volume_A3 = [], []
        with Progress(sys.stderr if progress else None) as bar:
            bar.begin(f"describe {word} {number}", contacts.n_frames, unit="frames")
            for full in contacts:
                _check_box(full, atoms, f"{word} {number}")
                for (setting, _, shifts_A), kept in zip(jobs, folds, strict=True):
                    shell = first_shell(full, setting.cutoffs, atoms, ions, shifts_A)
                    for (_, shift), these in kept.items():
                        these[-1].add(shell.moved[shift] if shift else shell)
                time_ps.append(full.time_ps)
                volume_A3.append(full.volume_A3)
                bar.at(len(time_ps))
        times.append(np.array(time_ps))
        volumes.append(np.array(volume_A3))
    return [
        Findings(setting, tuple(times), tuple(volumes), kept) for (setting, _, _), kept in zip(jobs, folds, strict=True)
    ]


def _check_box(full: FrameContacts, atoms: AtomTable, which: str) -> None:
    if len(full.unit) != atoms.n_units or len(full.centre) != len(atoms.centres):
        raise LmbmdError(
            "its contacts are of another box than the atom table.",
            where=f"{which}, frame {full.index}",
            remedy="Replicas described together must hold the same molecules in the same order.",
        )
