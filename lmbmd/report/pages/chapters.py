"""The chapters of a state point: which figures and tables, in which order, under which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmbmd.analysis.features import followed
from lmbmd.report.figures import clusters, motion, over_time, pairs, scenes, shells, stills
from lmbmd.report.figures.drawing import Drawing
from lmbmd.report.figures.scenes import Scene
from lmbmd.report.inputs import Results, StatePoint, feature_table
from lmbmd.report.tables import findings
from lmbmd.report.tables import motion as moved
from lmbmd.report.tables.cells import Table
from lmbmd.report.words import narrative

#: Topics whose notes are shown with the chapter they belong to, or in the verdict and summary.
PLACED = frozenset(
    {"convergence", "cutoff", "cluster", "box", "cipa", "composition", "statistics", "residence", "motion"}
)


@dataclass(frozen=True)
class Chapter:
    """One section of a state point: its blocks are drawings, views and tables, in order."""

    key: str
    title: str
    lead: str
    blocks: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()


def chapters_of(point: StatePoint, results: Results, colour: Mapping[str, str]) -> list[Chapter]:
    """All chapters of a state point; one without anything to show has no blocks."""
    return [chapter(point, results, colour) for chapter in CHAPTERS]


def _composition(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "composition",
        "What is in the box" if results.analysed else "What was asked for and what was simulated",
        "",
        blocks(
            table(findings.asked(point, results), "asked"),
            table(findings.box(point), "box"),
        ),
        tuple(point.notes("composition")) + tuple(map(str, results.composition.get("notes", ()))),
    )


def _shell(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "shell",
        "Level 1 · The primary shell",
        "Which molecules and ions touch a centre: radial distribution functions (line, left axis) with the running "
        "coordination number (dashed, right axis), and the first shell inside the marked cut-off.",
        blocks(
            _figures(shells.rdf(point, colour, by_site=True), "small", "rdf"),
            table(findings.coordination(point), "coordination"),
            _figures([*shells.shells(point, colour), *shells.solvent_states(point)], "medium", "shell"),
            _views(scenes.shell_scenes(point), "The most frequent shells", "shell", colour),
            _figures(shells.cn_histogram(point, colour), "small", "cn"),
            table(findings.solvent_states(point), "solvent-states"),
            _figures(shells.rdf(point, colour, by_site=False), "small", "rdf"),
        ),
        tuple(point.notes("cutoff")),
    )


def _pairs(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "pairs",
        "Level 2 · Ion pairs and aggregates (SSIP, CIP, AGG)",
        "How many ions of the other sign an ion touches. The three conventions answer three different questions; "
        "compare only numbers of the same convention.",
        blocks(
            _figures(pairs.speciation(point), "medium", "speciation_anion"),
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
        "Clusters of ions that are connected by contacts. Compactness is judged from size, density, distances and "
        "connectivity, compared with what chance alone would give; a high AGG fraction is not enough.",
        blocks(
            _figures(
                [*clusters.cluster_sizes(point), *clusters.cluster_population(point)],
                "medium",
                "cluster_sizes",
            ),
            _views(scenes.cluster_scenes(point, results.roles), "The largest cluster", "cluster", colour),
            _figures([*clusters.cluster_charge(point), *clusters.centre_distances(point)], "small", "cluster"),
            _figures(clusters.criteria(point), "medium", "cipa"),
            table(findings.cipa(point, results), "cipa"),
            table(findings.cipa_background(point), "chance"),
            table(findings.cipa_sensitivity(point), "cipa-sensitivity", "Sensitivity of the call to every choice"),
        ),
        tuple(point.notes("cipa", "cluster", "box")),
    )


def _dynamics(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "dynamics",
        "How long contacts last",
        "The chance that a partner in a shell at time 0 is there at time t (continuous: without ever having left).",
        blocks(
            _figures(over_time.residence(point, colour), "medium", "residence"),
            table(findings.residence(point), "residence"),
        ),
        tuple(point.notes("residence")),
    )


def _motion(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "motion",
        "How it moves",
        "Displacements of the mass centres of molecules and ions, each by itself and all together, and fluctuations of "
        f"the pressure and of the dipole. {narrative.moved_in(point)}".strip(),
        blocks(
            table(moved.coefficients(point), "motion"),
            _figures(motion.msd(point, colour), "medium", "self_diffusion"),
            _figures(motion.running(point), "small", "motion"),
            _figures(motion.onsager(point), "medium", "onsager"),
            table(moved.onsager(point), "onsager"),
            _figures(motion.by_class(point), "small", "conductivity_share"),
            table(moved.runs(point), "motion-runs"),
        ),
        tuple(point.notes("motion")),
    )


def over_temperatures(results: Results, colour: Mapping[str, str]) -> Chapter | None:
    """How the motion changes with temperature; None for a bottle at one temperature, or without motion."""
    found = followed(feature_table([results]))
    if not found:
        return None
    return Chapter(
        "temperatures",
        "Over all temperatures",
        "How diffusion, conductivity and viscosity change with temperature, by the values that can be relied on.",
        blocks(
            _figures(motion.arrhenius(found, colour), "medium", "laws"),
            table(moved.laws([(results.title, one) for one in found]), "laws"),
        ),
    )


def _convergence(point: StatePoint, results: Results, colour: Mapping[str, str]) -> Chapter:
    return Chapter(
        "convergence",
        "Is it converged?",
        "Only the production is used. The mean of a quantity that still drifts is not meaningful.",
        blocks(
            _figures(over_time.state(point), "small", "state"),
            _figures(over_time.series(point), "small", "timeseries"),
            table(findings.convergence(point), "checks"),
            _figures(over_time.running(point), "small", "running"),
            table(findings.errors(point), "errors"),
            table(findings.all_numbers(point), "numbers", "All descriptors with errors and independent samples"),
        ),
        tuple(point.notes("statistics")),
    )


CHAPTERS = (_composition, _shell, _pairs, _meso, _dynamics, _motion, _convergence)


def blocks(*given: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """Those that there is anything to show for."""
    return tuple(block for block in given if block)


def _figures(drawings: list[Drawing], width: str, definition: str) -> Mapping[str, Any] | None:
    return {"drawings": drawings, "width": width, "definition": definition} if drawings else None


def _views(found: list[Scene], title: str, definition: str, colour: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Scenes as a block: still pictures, and what the viewer needs to turn them."""
    if not found:
        return None
    replicas = ", ".join(sorted({scene.replica for scene in found}))
    note = f"The pictures are from replica {replicas} only; the numbers are from all replicas."
    return {
        "note": note,
        "scenes": found,
        "title": title,
        "definition": definition,
        "drawings": [stills.still(scene, colour) for scene in found],
        "models": {scene.key: scene.model(colour) for scene in found},
    }


def table(shown: Table | None, key: str, folded: str = "") -> Mapping[str, Any] | None:
    """A table as a block, under a line to unfold it if one is given; None if it has no rows."""
    return {"table": shown, "key": key, "folded": folded} if shown and shown.rows else None
