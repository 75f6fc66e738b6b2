"""What an analyst holds in a notebook: the numbers of one state point by name, its tables, its figures, its page."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes

from lmbmd.analysis import foreign
from lmbmd.analysis.features import LIMITED
from lmbmd.core import rounding
from lmbmd.core.errors import LmbmdError, closest, nearest
from lmbmd.core.validation import is_a
from lmbmd.core.words import counted
from lmbmd.report.figures import clusters, motion, over_time, pairs, palette, shells
from lmbmd.report.figures.drawing import Drawing, On, styled
from lmbmd.report.gathered import found_in
from lmbmd.report.inputs import Results, StatePoint, feature_table, load_analysis
from lmbmd.report.pages.analysis import told, write_analysis, write_report
from lmbmd.report.pages.page import environment
from lmbmd.report.quoted import NOT_QUOTED, quoted
from lmbmd.report.words import narrative
from lmbmd.study import layout

if TYPE_CHECKING:
    from lmbmd.data.described import Described
    from lmbmd.trajectory.foreign import File, Source

#: How many of the main numbers, and of the remarks, a notebook shows at once: about what fits on a screen.
MOST_ROWS, MOST_REMARKS = 18, 4


class UnknownNumber(LmbmdError, KeyError):
    """There is no number of this name, or none of it about this species."""

    __str__ = LmbmdError.__str__  # KeyError would show it in quotes


@dataclass(frozen=True)
class Number:
    """One number of a result; a row of the feature table.

    Attributes:
        name: of the number, as in the list of descriptors.
        species: what it is about: a species (``"FSI"``), a site (``"FSI:O"``), a shell; "" for the whole liquid.
        value: in ``unit``; NaN if there is none, and ``doubt`` says why.
        error: one standard error, in ``unit``; 0 if the value is exact, NaN if it is not known.
        unit: ``"1"`` for a pure number.
        doubt: why the value or its error is missing or not to be relied on; "" if they can be. Of a run that is too
            short no error is to be relied on, as on its page.
        doubt_kind: the same as a code for programs (``numbers.doubt.Kind``).
        box_limited: whether it is a size that the width of the box limits.
        definition: convention, cut-off and where it came from.
        n_effective: number of independent samples behind it.
        degrees_of_freedom: of the error, for Student's t.
    """

    name: str
    species: str
    value: float
    error: float
    unit: str
    doubt: str
    doubt_kind: str
    box_limited: bool
    definition: str
    n_effective: float
    degrees_of_freedom: float

    @property
    def text(self) -> str:
        """The value, rounded as its error allows, without its unit: ``"1.15 ± 0.03"``, or ``"≈ 1.2"`` with a doubt."""
        return rounding.number(self.value, None if self._errorless else self.error, not self.doubt)

    @property
    def _errorless(self) -> bool:
        """Whether the doubt stands in the place of the error."""
        return bool(self.doubt) and math.isnan(self.error) and self.doubt_kind != NOT_QUOTED.kind

    def __str__(self) -> str:
        return f"{self.text} {rounding.unit(self.unit)}".strip()

    def __repr__(self) -> str:
        about = f" of {self.species}" if self.species else ""
        sign = "" if self.doubt and not self._errorless and math.isfinite(self.value) else "= "
        return f"{self.name}{about} {sign}{self}{f' ({self.doubt})' if self.doubt else ''}"


@dataclass(frozen=True, eq=False, repr=False)
class Result(Mapping[tuple[str, str], Number]):
    """Everything that is known of one state point: a trajectory that was analysed, or a temperature of a formulation.

    A mapping from (name, species) to ``Number``, with the names of the feature table: ``result["anion_cn", "FSI"]``;
    ``result["density_g_cm3"]`` for what is about the whole liquid. Made by ``lmbmd.analyze`` and ``lmbmd.read``.

    Attributes:
        results: what its page is made of, with this one state point.
        folder: where its files are; None if nothing was written.
    """

    results: Results
    folder: Path | None = None

    @property
    def point(self) -> StatePoint:
        return self.results.state_points[0]

    @property
    def described(self) -> Described:
        """What the analysis said, as ``describe`` made it."""
        return self.point.described

    @property
    def descriptors(self) -> pd.DataFrame:
        """The table of descriptors (columns: ``data.described.DESCRIPTOR_COLUMNS``)."""
        return self.described.descriptors

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The curves and histograms behind the figures, by name."""
        return self.described.tables

    @property
    def facts(self) -> dict[str, Any]:
        """Options, frames and provenance of the analysis."""
        return self.described.facts

    @property
    def notes(self) -> list[str]:
        """What a reader must know, one sentence or more each; the verdict on the length of the run first."""
        return list(dict.fromkeys(note["text"] for note in self.described.notes))

    @property
    def verdict(self) -> str:
        """Whether the run is long enough, in a word: ``"too short"``, …, ``"long enough"``, or ``"unknown"``."""
        return self.described.verdict

    def to_pandas(self) -> pd.DataFrame:
        """The rows of the feature table (``analysis.features.FEATURES``): one number a row.

        Of a run that is too short, with the doubts that were computed; the column ``verdict`` says what it is.
        """
        return feature_table([self.results])

    @cached_property
    def _quoted(self) -> StatePoint:
        return quoted(self.point)

    @cached_property
    def _numbers(self) -> dict[tuple[str, str], Number]:
        columns = list(Number.__dataclass_fields__)
        table = feature_table([replace(self.results, state_points=(self._quoted,))])
        rows = table[columns].itertuples(index=False)
        return {(row.name, row.species): Number(*row) for row in rows}

    def __getitem__(self, key: str | tuple[str, str]) -> Number:
        """The number of this name, or (name, species).

        Raises:
            UnknownNumber: naming the nearest that there is, and all.
        """
        match key:
            case str(name):
                species = ""
            case (str(name), str(species)):
                pass
            case _:
                raise UnknownNumber(
                    f"{key!r} is no name of a number.", remedy="Give a name, or a name and a species: all of a result."
                )
        if found := self._numbers.get((name, species)):
            return found
        names = sorted({name for name, _ in self})
        about = [one for known, one in self if known == name]
        wanted, known, all_of = (species, about, "It is there of") if about else (name, names, "There are")
        what = f"there is no number '{name}'{f' of {species!r}' if about and species else ''}."
        if about and not species:
            what = f"'{name}' is not a number of the whole liquid."
        close = f"Did you mean '{one}'? " if (one := closest(wanted, known)) else ""
        listed = ", ".join(one or "the whole liquid" for one in known)
        raise UnknownNumber(what, where=self.title, remedy=f"{close}{all_of} {listed}.")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def _ipython_key_completions_(self) -> list[Any]:
        return [name if not species else (name, species) for name, species in self]

    @property
    def title(self) -> str:
        at = self.point.at
        return f"{self.results.title}, {at}" if at else self.results.title

    def main(self) -> list[Number]:
        """The numbers at the head of the page, of those that have a value."""
        found = narrative.headlines(self._quoted, self.results)
        return [self._numbers[one.name, one.species] for one in found if math.isfinite(one.value)]

    def __repr__(self) -> str:
        return f"{self.title}\n{told(self.results)}"

    def _repr_html_(self) -> str:
        found, verdict = self.main(), narrative.verdict(self.point)
        remarks = list(dict.fromkeys([*verdict.reasons, *self.results.assumptions, *self.notes[1:]]))
        return (
            environment()
            .get_template("result.html.j2")
            .render(
                title=self.title,
                setting=narrative.setting(self.point, self.results),
                verdict=verdict,
                remarks=remarks[:MOST_REMARKS],
                others=counted(len(remarks) - MOST_REMARKS, "more note") if len(remarks) > MOST_REMARKS else "",
                numbers=found[:MOST_ROWS],
                not_quoted=NOT_QUOTED,
                limited=LIMITED,
                more=len(self) - len(found[:MOST_ROWS]),
            )
        )

    def plot_rdf(self, partner: str | None = None, centre: str | None = None, *, ax: Axes | None = None) -> Axes:
        """g(r) with its error band and the cut-off; the running coordination number on an axis of its own.

        Args:
            partner: a site (``"FSI:O"``) or, for mass centres, a species; by default the first of ``tables["rdf"]``.
            centre: by default the first that there is such a pair of.
            ax: to draw on; a new figure if not given.
        """
        known = shells.rdf_pairs(self.point)
        wanted = lambda pair: partner in (None, pair[1]) and centre in (None, pair[0])  # noqa: E731
        found = [pair for pair in known if wanted(pair)]
        if known and not found:
            pairs_known = [f"{one} – {other}" for one, other in known]
            close = closest(str(partner), [other for _, other in known])
            remedy = f"{f'Did you mean {close!r}? ' if close else ''}There are {', '.join(pairs_known)}."
            raise LmbmdError(f"there is no RDF of {centre or 'a centre'} and {partner}.", remedy=remedy)
        return self._drawn(lambda on: [shells.rdf_of(self._quoted, self._colours, *found[0], on)] if found else [], ax)

    def plot_shells(self, *, ax: Axes | None = None) -> Axes:
        """The most frequent first shells and their shares."""
        return self._drawn(lambda on: shells.shells(self._quoted, self._colours, on), ax)

    def plot_speciation(self, *, ax: Axes | None = None) -> Axes:
        """SSIP, CIP and AGG in the three conventions."""
        return self._drawn(lambda on: pairs.speciation(self._quoted, on), ax)

    def plot_clusters(self, *, ax: Axes | None = None) -> Axes:
        """The share of all ions by the size of the cluster they are in."""
        return self._drawn(lambda on: clusters.cluster_sizes(self._quoted, on), ax)

    def plot_msd(self, *, ax: Axes | None = None) -> Axes:
        """Mean squared displacements; in a figure of its own, the local slope below them."""
        return self._drawn(lambda on: motion.msd(self._quoted, self._colours, on), ax)

    def plot_residence(self, correlation: str = "continuous", *, ax: Axes | None = None) -> Axes:
        """Residence correlation functions of the partners of the centre.

        Args:
            correlation: ``"continuous"`` (until a contact first breaks), ``"intermittent"`` (whether it is there again,
                too) or, where the analysis ignores short breaks, ``"mended"``.
            ax: to draw on; a new figure if not given.

        Raises:
            LmbmdError: if there is no such correlation, or no table of them.
        """
        table = self.point.table("residence_curves")
        if table is not None and correlation not in (known := list(dict.fromkeys(table.correlation))):
            raise LmbmdError(f"{correlation!r} is no residence correlation.", remedy=nearest(str(correlation), known))
        return self._drawn(lambda on: over_time.residence(self._quoted, self._colours, on, correlation), ax)

    @property
    def _colours(self) -> dict[str, str]:
        return palette.colours(self.results.roles)

    def _drawn(self, draw: Callable[[On], list[Drawing]], ax: Axes | None) -> Axes:
        """The Axes on which a figure of the page was drawn: those given, or those of a figure that pyplot shows."""
        from matplotlib import pyplot

        pyplot.draw_if_interactive()  # chooses the backend, whose settings the look would take back with its own
        with styled():
            made = draw(pyplot.figure if ax is None else ax)
        if not made:
            raise LmbmdError("this result has no table for that figure.", remedy="Its notes say why: result.notes.")
        return made[0].figure.axes[0] if ax is None else ax

    def write_report(self, folder: File) -> Path:
        """Write the page, its figures and the feature table, as ``lmbmd analyze`` does; where the page is.

        Elsewhere than in the folder of the data files the page has no links to them.

        Raises:
            LmbmdError: for a file, and for the folder of a study's bottle: its own page knows the recipe, the force
                field and every temperature, and this one would take its place.
        """
        target = Path(folder)
        if target.exists() and not target.is_dir():
            raise LmbmdError("this is a file.", where=str(target), remedy="Give a folder for the page.")
        if layout.composition(target.resolve().parent, target.resolve().name).is_file():
            raise LmbmdError(
                "the page of a study's bottle is made by the study.",
                where=str(target),
                remedy="Give another folder; `snakemake` or `lmbmd report` makes that page.",
            )
        is_home = self.folder is not None and target.resolve() == self.folder.resolve()
        write_report(target, self.results if is_home else _without_files(self.results))
        return target / "report.html"


def _without_files(results: Results) -> Results:
    return replace(results, state_points=tuple(replace(point, files=()) for point in results.state_points))


def analyze(
    source: Source,
    species: File | Mapping[str, Any],
    *,
    out: File | None = None,
    title: str = "",
    begin_ps: float | None = None,
    end_ps: float | None = None,
    every_ps: float | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    temperature_K: float | None = None,
    friction_per_ps: float | None = None,
    pressure: File | Sequence[File] = (),
    scattering: Mapping[str, Any] | None = None,
    measured_in: File = "",
) -> Result:
    """Describe a trajectory of any program: shells, speciation, clusters, CIPA, lifetimes and motion.

    Args:
        source: an MDAnalysis Universe, or a (topology, trajectory) pair of files, or one file with both. Of a run that
            goes on in further files (topology, [first part, second part]); for several replicas of one box a list of
            such: ``[(topology, first), (topology, second)]``.
        species: the species map, as a file or as plain data (docs/foreign_trajectories.md).
        out: a folder for the page, its figures, the feature table and the data files, as ``lmbmd analyze`` writes them;
            without it nothing is kept, and ``write_report`` of the result can still write the page.
        title: of the page; by default the name of the trajectory's file.
        begin_ps, end_ps, every_ps: which frames of each run, by the time in it; both ends are included.
        options: as the section ``analysis`` of a study, without ``frame_stride``.
        workers: processes that read and search frames.
        temperature_K: of the simulation; without it there is neither conductivity nor viscosity.
        friction_per_ps: of its thermostat, if that was a Langevin thermostat: a large one is doubted.
        pressure: the pressure tensor over time (``PressureSeries``), one file per replica, for the viscosity.
        scattering: as the section ``scattering`` of a study (``{}``: its defaults), for X-ray and neutron scattering.
        measured_in: the folder that files of measured curves are named from; by default the current one.

    Returns:
        Its numbers by name, tables, plots and the page.

    Raises:
        LmbmdError: naming the file, key, frame or atom and the remedy.
    """
    with tempfile.TemporaryDirectory() as scratch:
        foreign.analyze(
            source,
            species,
            out=out or scratch,
            title=title,
            begin_ps=begin_ps,
            end_ps=end_ps,
            every_ps=every_ps,
            options=options,
            workers=workers,
            temperature_K=temperature_K,
            friction_per_ps=friction_per_ps,
            pressure=pressure,
            scattering=scattering,
            measured_in=measured_in,
        )
        if out:
            return Result(write_analysis(out), Path(out))
        results = load_analysis(scratch)
    return Result(replace(_without_files(results), name=results.title))


def read(folder: File) -> Result:
    """What lies in a folder of results.

    Args:
        folder: what ``lmbmd analyze`` wrote, or a state point of a study, such as ``results/NAME/298.15K``; also a
            whole study, or one of its formulations, if there is one state point in it.

    Raises:
        LmbmdError: if there is none or several (``read_all``), or if a file is missing or damaged.
    """
    found = list(_found(folder))
    if len(found) > 1:
        places = ", ".join(str(page / point.label) for page, point, _ in found)
        what = f"there are {len(found)} state points in this folder."
        raise LmbmdError(what, where=str(folder), remedy=f"Take lmbmd.read_all, or give one of them: {places}.")
    return _result(*found[0])


def read_all(folder: File) -> dict[str, Result]:
    """Every state point in a folder of results, by its name: ``read_all("my-study")["lifsi-dme/298.15K"]``.

    Args:
        folder: as that of ``read``; of an analysis the one result is under the folder's name.

    Raises:
        LmbmdError: if there is none, or if a file is missing or damaged.
    """
    return {
        one.name if one.analysed else f"{one.name}/{point.label}": _result(page, point, one)
        for page, point, one in _found(folder)
    }


def _found(folder: File) -> Iterator[tuple[Path, StatePoint, Results]]:
    """The folder of its page, each state point in a folder of results, and what it is of."""
    is_a("folder", folder, (str, os.PathLike), "a folder, as text or a Path")
    for page, one in found_in(Path(folder), brief=False):
        for point in one.state_points:
            yield page, point, one


def _result(page: Path, point: StatePoint, one: Results) -> Result:
    return Result(replace(one, state_points=(point,)), page)
