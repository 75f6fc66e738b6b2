"""The chapters of a state point: which figures and tables, in which order, under which words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmbmd.analysis.features import followed, volumes
from lmbmd.core.words import counted, listed
from lmbmd.report.figures import (
    chains,
    clusters,
    energies,
    motion,
    over_time,
    pairs,
    scattering,
    scenes,
    shells,
    stills,
)
from lmbmd.report.figures.drawing import Drawing
from lmbmd.report.figures.scenes import Scene
from lmbmd.report.inputs import Results, StatePoint, feature_table
from lmbmd.report.tables import chains as of_chains
from lmbmd.report.tables import energies as of_energies
from lmbmd.report.tables import findings
from lmbmd.report.tables import motion as moved
from lmbmd.report.tables import scattering as of_scattering
from lmbmd.report.tables.cells import Table
from lmbmd.report.words import naming, narrative

#: Topics whose notes are shown with the chapter they belong to, or in the verdict and summary.
PLACED = frozenset(
    {
        "convergence",
        "cutoff",
        "cluster",
        "box",
        "cipa",
        "composition",
        "statistics",
        "residence",
        "motion",
        "scattering",
        "energies",
        "bands",
    }
)


@dataclass(frozen=True)
class Chapter:
    """One section: its blocks are drawings, views and tables, in order; those of ``more`` are folded away at first.

    One that ``may_be_missing`` is left out of a page that has nothing to show for it.
    """

    key: str
    title: str
    lead: str
    blocks: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    more: tuple[Mapping[str, Any], ...] = ()
    may_be_missing: bool = False

    @property
    def every_block(self) -> tuple[Mapping[str, Any], ...]:
        return self.blocks + self.more

    @property
    def folded(self) -> str:
        """What is folded away, counted: ``"6 figures and 2 tables"``."""
        figures, tables = sum(len(b.get("drawings", ())) for b in self.more), sum("table" in b for b in self.more)
        return listed([counted(n, word) for n, word in ((figures, "figure"), (tables, "table")) if n])


def chapters_of(results: Results, colour: Mapping[str, str]) -> list[Chapter]:
    """All chapters, the temperatures of each side by side; one without anything to show has no blocks."""
    points = results.state_points
    found = [_side_by_side(points, [chapter(point, results, colour) for point in points]) for chapter in CHAPTERS]
    return [chapter for chapter in found if chapter.every_block or not chapter.may_be_missing]


def _side_by_side(points: Sequence[StatePoint], chapters: Sequence[Chapter]) -> Chapter:
    """One chapter from those of several temperatures: what shows the same stands together."""
    first = chapters[0]
    if len(chapters) == 1:
        return first
    told = dict.fromkeys(note for chapter in chapters for note in chapter.notes)
    notes = []
    for note in told:
        at = [point.at for point, chapter in zip(points, chapters, strict=True) if note in chapter.notes]
        notes.append(note if len(at) == len(points) else f"{listed(at)}: {note}")
    lead = " ".join(dict.fromkeys(chapter.lead for chapter in chapters))
    shown, more = (
        tuple(_together([(p, b) for p, chapter in zip(points, chapters, strict=True) for b in getattr(chapter, part)]))
        for part in ("blocks", "more")
    )
    return replace(first, lead=lead, blocks=shown, notes=tuple(notes), more=more)


def _together(found: Sequence[tuple[StatePoint, Mapping[str, Any]]]) -> Iterable[Mapping[str, Any]]:
    for kind in dict.fromkeys(_kind(block) for _, block in found):
        same = [(point, block) for point, block in found if _kind(block) == kind]
        if "width" not in same[0][1]:
            for point, block in same:
                named = {"table": replace(t, caption=f"{point.at}: {t.caption}")} if (t := block.get("table")) else {}
                yield {**block, **named, "at": point.label, "note": f"{point.at}. {block.get('note', '')}"}
            continue
        drawn: dict[str, list[Drawing]] = {}
        for point, block in same:
            for d in block["drawings"]:
                words = {"title": f"{d.title}, {point.at}", "caption": f"{point.at}. {d.caption}".strip()}
                drawn.setdefault(d.name.removeprefix(point.label), []).append(replace(d, **words))
        yield {**same[0][1], "drawings": [d for drawings in drawn.values() for d in drawings]}


def _kind(block: Mapping[str, Any]) -> tuple[str, bool]:
    return block["key"], "table" in block


def _composition(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    asked, box = table(findings.asked(point, results), "asked"), table(findings.box(point), "box")
    return Chapter(
        "composition",
        "What is in the box" if results.analysed else "What was asked for and what was simulated",
        "",
        blocks(asked or box),
        tuple(point.notes("composition")) + tuple(map(str, results.composition.get("notes", ()))),
        blocks(box if asked else None),
    )


def _shell(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    centre = naming.centres(point.centre)
    return Chapter(
        "shell",
        "Level 1 · The primary shell",
        f"Which molecules and ions are in contact with {centre}: radial distribution functions (line, left axis) with "
        "the running coordination number (dashed, right axis), and the first shell inside the marked cut-off.",
        blocks(
            _figures(shells.rdf(point, colour, by_site=True), "small", "rdf"),
            _figures([*shells.shells(point, colour), *shells.solvent_states(point)], "medium", "shell"),
            _views(scenes.shell_scenes(point), "The most frequent shells", "shell", colour),
        ),
        tuple(point.notes("cutoff")),
        blocks(
            table(findings.coordination(point), "coordination"),
            _figures(shells.cn_histogram(point, colour), "small", "cn"),
            table(findings.solvent_states(point), "solvent-states"),
            _figures(shells.rdf(point, colour, by_site=False), "small", "rdf", "rdf-centres"),
        ),
    )


def _pairs(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "pairs",
        "Level 2 · Ion pairs and aggregates (SSIP, CIP, AGG)",
        "How many ions of opposite charge an ion is in contact with, counted in three ways. Compare only numbers that "
        "were counted in the same way.",
        blocks(_figures(pairs.speciation(point), "medium", "speciation_anion")),
        (),
        blocks(
            table(findings.speciation(point), "speciation"),
            _figures(pairs.ion_histogram(point, colour), "small", "ion_histogram"),
            table(findings.separation(point), "separation"),
            _figures(pairs.sensitivity(point), "small", "sensitivity"),
        ),
    )


def _meso(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "meso",
        "Level 3 · Clusters and compact aggregates (CIPA)",
        "Clusters of ions that are connected by contacts. Whether a cluster is compact is judged from its size, "
        "density, distances and connectivity, compared with chance alone; a high AGG fraction is not enough.",
        blocks(
            _figures([*clusters.cluster_sizes(point), *clusters.cluster_population(point)], "medium", "cluster_sizes"),
            _views(scenes.cluster_scenes(point, results.roles), "The largest cluster", "cluster", colour),
        ),
        tuple(point.notes("cipa", "cluster", "box")),
        blocks(
            _figures([*clusters.cluster_charge(point), *clusters.centre_distances(point)], "small", "cluster"),
            _figures(clusters.criteria(point), "medium", "cipa"),
            table(findings.cipa(point, results), "cipa"),
            table(findings.cipa_background(point), "chance"),
            table(findings.cipa_sensitivity(point), "cipa-sensitivity"),
        ),
    )


def _scattering(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "scattering",
        "Scattering",
        "What X-rays and neutrons would see: aggregates without any definition of a contact, but only those that are "
        f"smaller than the box. {' '.join(point.notes('scattering'))}".strip(),
        blocks(
            _figures(scattering.structure(point), "medium", "scattering"),
            _figures(scattering.beside(point), "medium", "scattering", "scattering-measured"),
            table(of_scattering.numbers(point), "scattering"),
        ),
        (),
        blocks(_figures(scattering.by_class(point), "medium", "scattering", "scattering-class")),
        may_be_missing=True,
    )


def _energies(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "energies",
        "Energies of shells",
        "How strongly the ion is held, what it costs to take one molecule out, and how levels move: quantum "
        "chemistry of shells that were cut out of the run. "
        f"{' '.join([*point.notes('energies'), *point.notes('bands')])}".strip(),
        blocks(
            _figures(energies.by_class(point), "medium", "energies"),
            table(of_energies.numbers(point), "energies"),
            _figures(energies.bands(point), "medium", "bands_curve", "energies-bands"),
            table(of_energies.bands(point), "energies-bands"),
        ),
        (),
        blocks(
            _figures(energies.levels(point), "medium", "levels", "energies-levels"),
            table(of_energies.drawn(point), "energies-drawn"),
            table(of_energies.variants(point), "energies-variants"),
            table(of_energies.compared(point), "energies-compared"),
        ),
        may_be_missing=True,
    )


def _chains(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "chains",
        "Chains",
        "How polymer chains hold the ions, unit by unit, how they are coiled, and how fast they turn. "
        f"{of_chains.sentences(point)}".strip(),
        blocks(
            _figures(chains.shells(point), "small", "chain_coordination"),
            _figures(chains.relaxation(point), "medium", "chain_relaxation"),
            _figures(chains.stretches(point), "small", "chain_size"),
        ),
        (),
        blocks(table(of_chains.numbers(point), "chains")),
        may_be_missing=True,
    )


def _dynamics(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "dynamics",
        "How long contacts last",
        "The probability that a partner in a shell at time 0 is there at time t (continuous: without having left).",
        blocks(_figures(over_time.residence(point, colour), "medium", "residence")),
        tuple(point.notes("residence")),
        blocks(table(findings.residence(point), "residence")),
    )


def _motion(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "motion",
        "How it moves",
        "Displacements of the mass centres of molecules and ions, each by itself and all together, and fluctuations of "
        f"the pressure and of the dipole. {narrative.moved_in(point)}".strip(),
        blocks(_figures(motion.msd(point, colour), "medium", "self_diffusion")),
        tuple(point.notes("motion")),
        blocks(
            table(moved.coefficients(point), "motion"),
            _figures(motion.running(point), "small", "motion"),
            _figures(motion.onsager(point), "medium", "onsager"),
            table(moved.onsager(point), "onsager"),
            _figures(motion.by_class(point), "small", "conductivity_share"),
            table(moved.runs(point), "motion-runs"),
        ),
    )


def over_temperatures(results: Results, colour: Mapping[str, str]) -> Chapter | None:
    """What changes with temperature: motion, and the volume where there are chains; None where neither is known."""
    features = feature_table([results])
    found, glass = followed(features), volumes(features)
    if not found and not glass:
        return None
    told = ["diffusion, conductivity and viscosity"] * bool(found) + ["the volume"] * bool(glass)
    return Chapter(
        "temperatures",
        "Over all temperatures",
        f"How {' and '.join(told)} change with temperature, by the values that can be relied on.",
        blocks(
            _figures(motion.arrhenius(found, colour), "medium", "laws"),
            table(moved.laws([(results.title, one) for one in found]), "laws"),
            _figures(chains.glass(glass) if glass else [], "medium", "glass"),
        ),
    )


def _convergence(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "convergence",
        "Is it converged?",
        "Only the production is used. The mean of a quantity that still drifts is not meaningful.",
        blocks(_figures(over_time.running(point), "small", "running")),
        tuple(point.notes("statistics")),
        blocks(
            table(findings.convergence(point), "checks"),
            _figures(over_time.state(point), "small", "state"),
            _figures(over_time.series(point), "small", "timeseries"),
            table(findings.errors(point), "errors"),
            table(findings.all_numbers(point), "numbers"),
        ),
    )


CHAPTERS = (_composition, _shell, _pairs, _meso, _scattering, _energies, _chains, _dynamics, _motion, _convergence)


def blocks(*given: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """Those that there is anything to show for."""
    return tuple(block for block in given if block)


def _figures(drawings: list[Drawing], width: str, definition: str, key: str = "") -> Mapping[str, Any] | None:
    """Drawings as a block; ``key`` tells blocks with one definition apart."""
    named = {"key": key or definition, "width": width, "definition": definition}
    return {"drawings": drawings, **named} if drawings else None


def _views(found: list[Scene], title: str, definition: str, colour: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Scenes as a block: still pictures, and what the viewer needs to turn them."""
    if not found:
        return None
    replicas = ", ".join(sorted({scene.replica for scene in found}))
    note = f"The pictures are from replica {replicas} only; the numbers are from all replicas."
    return {
        "key": definition + "-views",
        "note": note,
        "scenes": found,
        "title": title,
        "definition": definition,
        "drawings": [stills.still(scene, colour) for scene in found],
        "models": {scene.key: scene.model(colour) for scene in found},
    }


def table(shown: Table | None, key: str) -> Mapping[str, Any] | None:
    """A table as a block; None if it has no rows."""
    return {"table": shown, "key": key} if shown and shown.rows else None
