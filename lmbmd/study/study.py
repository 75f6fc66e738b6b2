"""A study: bottles, and how all of them are simulated and analysed. Everything the workflow asks is a method here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from lmbmd.analysis.options import AnalysisOptions, DescribeOptions
from lmbmd.analysis.scan.options import check_pairs
from lmbmd.analysis.scattering.options import MeasuredCurve, StudyScattering, check_deuterated
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, NAME
from lmbmd.core.provenance import canonical_json, derived_seed, file_sha256
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.core.validation import fault, place, validated
from lmbmd.core.words import shown
from lmbmd.core.yamlfile import Lines, read_yaml
from lmbmd.data.library import Library, load_library
from lmbmd.data.sites import named_cutoffs, site_keys
from lmbmd.forcefield.own import FOLDER, OwnSet, check_coverage, coverage, own_sets
from lmbmd.formulation.composition import Composition, compose
from lmbmd.formulation.models import Conditions, Formulation
from lmbmd.formulation.sweeps import load_formulations
from lmbmd.formulation.titles import title_of
from lmbmd.literature.claims import known_claims, shipped_files
from lmbmd.quantum.options import QuantumOptions, check_banded
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import PRESSURE, STATE, Protocol, Transport
from lmbmd.study import layout

_OneOrMany = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda value: (value,) if isinstance(value, str) else value, json_schema_input_type=str | list[str]
    ),
]
Files = Annotated[_OneOrMany, Field(min_length=1)]


#: How a description's record of its inputs names the contacts of a segment, before which one it is.
SEGMENT_INPUT = "contacts of segment"


class StudyFile(BaseModel):
    """What ``config/config.yaml`` may say."""

    model_config = FROZEN

    study: Annotated[str, Field(pattern=f"^{NAME}$")] = Field(description="its name")
    formulations: Files = Field(description="a folder or a file, or a list of them, from this file's folder")
    defaults: Conditions = Field(Conditions(), description="for every formulation that does not say otherwise")
    protocol: Protocol = Protocol()
    transport: Transport | None = Field(None, description="segments from which motion is measured; see below")
    platform: PlatformOptions = PlatformOptions()
    analysis: AnalysisOptions = AnalysisOptions()
    scattering: StudyScattering | None = Field(None, description="X-ray and neutron scattering; see below")
    quantum: QuantumOptions | None = Field(None, description="energies of shells; see below")
    force_fields: str = Field(FOLDER, description="the folder of parameter sets of your own (docs/parametrize.md)")
    claims: _OneOrMany = Field((), description="claim files, judged beside the shipped ones (docs/claims.md)")

    @field_validator("transport", mode="after")
    @classmethod
    def _times_fit(cls, transport: Transport | None, info: ValidationInfo) -> Transport | None:
        if transport and "protocol" in info.data:
            transport.protocol(info.data["protocol"])
        return transport

    @field_validator("platform", mode="after")
    @classmethod
    def _has_the_thermostat(cls, platform: PlatformOptions, info: ValidationInfo) -> PlatformOptions:
        transport = info.data.get("transport")
        if transport and transport.dynamics.thermostat == "bussi" and platform.engine == "openmm":
            raise fault(
                "transport asks for the thermostat 'bussi', which OpenMM does not have.",
                "Choose 'nose-hoover' there, or engine: gromacs here.",
            )
        return platform


class Run(NamedTuple):
    """One simulation; ``temperature`` as it is written in paths."""

    formulation: str
    temperature: str
    replica: int


@dataclass(frozen=True, eq=False)
class Study:
    """A validated study. ``formulations`` and ``compositions`` are by name, in alphabetical order."""

    path: Path
    name: str
    formulations: Mapping[str, Formulation]
    compositions: Mapping[str, Composition]
    protocol: Protocol
    platform: PlatformOptions
    analysis: AnalysisOptions
    library: Library
    transport: Transport | None = None
    scattering: StudyScattering | None = None
    quantum: QuantumOptions | None = None
    claims: tuple[Path, ...] = ()
    own_sets: Mapping[str, OwnSet] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the formulations."""
        return tuple(self.formulations)

    def formulation(self, name: str) -> Formulation:
        """One bottle.

        Raises:
            LmbmdError: if the study has none of that name.
        """
        if name not in self.formulations:
            remedy = nearest(name, self.names)
            raise LmbmdError(f"the study has no formulation '{name}'.", where=str(self.path), remedy=remedy)
        return self.formulations[name]

    def composition(self, name: str) -> Composition:
        """What is put in the box for one bottle."""
        self.formulation(name)
        return self.compositions[name]

    def temperatures(self, name: str) -> tuple[str, ...]:
        """Temperatures of a bottle in K, as they are written in paths."""
        return self.formulation(name).temperatures

    def replicas(self, name: str) -> range:
        """Numbers of a bottle's replicas: 1, 2, 3 …"""
        return range(1, self.formulation(name).replicas + 1)

    def runs(self) -> list[Run]:
        """Every simulation of the study."""
        return [Run(f, T, r) for f in self.names for T in self.temperatures(f) for r in self.replicas(f)]

    @property
    def readers(self) -> tuple[str, ...]:
        """Rules that work on each finished production before it is described, in their order."""
        return ("contacts", *["scatter"] * bool(self.scattering), *["draw", "quantum"] * bool(self.quantum))

    def marks(self) -> list[str]:
        """The marks of every job of the study, which Snakemake asks for: one that is missing is a job that failed."""
        found = [layout.mark(layout.RESULTS, "index")]
        for name in self.names:
            bottle = layout.bottle(layout.RESULTS, name)
            found += [layout.mark(bottle, "compose"), layout.mark(bottle, "report")]
            found += [
                layout.mark(layout.box(layout.RESULTS, name, replica), "build") for replica in self.replicas(name)
            ]
            for temperature in self.temperatures(name):
                found.append(layout.mark(layout.point(layout.RESULTS, name, temperature), "describe"))
        for run in self.runs():
            folder = layout.run(layout.RESULTS, *run)
            found += [layout.mark(folder, rule) for rule in ("simulate", *self.readers)]
            for number in self.segments:
                rules = ("segment", "segment_contacts")
                found += [layout.mark(layout.segment(folder, number), rule) for rule in rules]
        return [str(path) for path in found]

    def recipe(self, name: str) -> dict[str, Any]:
        """Everything that decides a composition: the bottle, and the library's facts about what is in it."""
        facts = [
            [i.name, i.species, i.molar_mass_g_mol, i.molar_volume_cm3_mol] for i in self.composition(name).ingredients
        ]
        recipe = {**self.formulation(name).recipe(), "facts": facts}
        if own := self.own_sets.get(self.formulation(name).force_field):
            recipe["own"] = [own.extends, *filter(None, map(own.recipe, self.composition(name).counts))]
        return recipe

    @property
    def segments(self) -> range:
        """Numbers of each replica's transport segments: 1, 2, 3 …, or none."""
        return range(1, self.transport.segments + 1) if self.transport else range(0)

    @property
    def segment_logs(self) -> list[str]:
        """Names of the logs that a segment writes."""
        has_pressure = self.transport is not None and self.transport.pressure_interval_ps is not None
        return [STATE, PRESSURE] if has_pressure else [STATE]

    def spec(self, name: str, temperature: str, replica: int | str, segment: int | str | None = None) -> dict[str, Any]:
        """All physics of one run besides its System and its start: protocol, temperature, pressure, seeds, dynamics.

        Args:
            segment: number of one of the replica's transport segments; its production by default.

        Raises:
            LmbmdError: if the study has no such run.
        """
        formulation = self.formulation(name)
        if temperature not in formulation.temperatures:
            what = f"'{name}' is not simulated at {temperature} K."
            raise LmbmdError(what, where=str(self.path), remedy=nearest(temperature, formulation.temperatures))
        if str(replica) not in map(str, self.replicas(name)):
            what = f"'{name}' has no replica {replica if str(replica).isdecimal() else shown(replica)}."
            raise LmbmdError(what, where=str(self.path), remedy=f"It has {formulation.replicas}, numbered from 1.")
        if segment is not None and str(segment) not in map(str, self.segments):
            what = f"there is no transport segment {segment if str(segment).isdecimal() else shown(segment)}."
            remedy = f"There are {len(self.segments)} of each replica, numbered from 1 (transport: in the study)."
            raise LmbmdError(what, where=str(self.path), remedy=remedy)
        suffix = "" if segment is None else f" segment {segment}"
        seeds = {
            purpose: derived_seed(formulation.seed, name, int(replica), f"{purpose} {temperature} K{suffix}")
            for purpose in ("velocities", "thermostat", "barostat")
        }
        spec = {
            "temperature_K": float(temperature),
            "pressure_bar": formulation.pressure_bar,
            "protocol": self.protocol.model_dump(mode="json"),
            "seeds": seeds,
        }
        if segment is not None:
            assert self.transport
            spec["protocol"] = self.transport.protocol(self.protocol).model_dump(mode="json")
            spec["dynamics"] = self.transport.dynamics.model_dump(mode="json")
        return spec

    def describe_options(self, name: str) -> DescribeOptions:
        """How a bottle is described: with those of the study's cut-offs whose sites it has."""
        options = self.analysis.describing
        if not options.cutoffs_A:
            return options
        keys = cutoff_keys(self.library, self.composition(name).counts)
        kept = {key: radius for key, radius in options.cutoffs_A.items() if key in keys}
        return options.model_copy(update={"cutoffs_A": kept})

    def scattering_text(self, name: str) -> str:
        """All that decides the scattering of a bottle, as canonical JSON; "" if none is asked for."""
        if self.scattering is None:
            return ""
        options = self.describe_options(name)
        classes = options.model_dump(mode="json", exclude={"top_shells", "agg_ii_from", "cutoff_shift_A"})
        return canonical_json([self.scattering.facts(), classes])

    def measured(self, name: str) -> dict[Path, MeasuredCurve]:
        """Measured curves of a bottle, by the path of their file."""
        if self.scattering is None:
            return {}
        return {self.path.parent / one.file: one for one in self.scattering.measured if one.formulation == name}

    def scattering_files(self, name: str) -> list[str]:
        """Names of the files in the folder of a replica that its description needs of the scattering stage."""
        return [layout.SCATTERING, layout.mark(Path(), "scatter").name] if self.scattering else []

    def draw_text(self, name: str) -> str:
        """All that decides which shells of a bottle are drawn, as canonical JSON; "" if energies are not asked for."""
        if self.quantum is None:
            return ""
        options = self.describe_options(name)
        classes = options.model_dump(mode="json", exclude={"top_shells", "cipa", "compactness", "cutoff_shift_A"})
        drawn = self.quantum.model_dump(mode="json", include={"shells_per_class", "seed"})
        if self.quantum.bands:
            bands = self.quantum.bands
            drawn["bands"] = [bands.per_class, sorted(bands.of)] if bands.of else bands.per_class
        return canonical_json([drawn, classes])

    def quantum_text(self) -> str:
        """What is computed of the drawn shells, as canonical JSON; "" if nothing is asked for."""
        return canonical_json(self.quantum.facts()) if self.quantum else ""

    @property
    def quantum_files(self) -> list[str]:
        """Names of the files in the folder of a replica that its description needs of the quantum stage."""
        return [layout.ENERGIES, layout.mark(Path(), "quantum").name] if self.quantum else []

    def recipe_text(self, name: str) -> str:
        """``recipe`` as canonical JSON; a change of it composes and builds anew."""
        return canonical_json(self.recipe(name))

    def spec_text(self, name: str, temperature: str, replica: int | str, segment: int | str | None = None) -> str:
        """``spec`` as canonical JSON; a change of it simulates anew."""
        return canonical_json(self.spec(name, temperature, replica, segment))

    def words(self, name: str) -> dict[str, Any]:
        """Title, source, notes and assumptions of a bottle: what only its report shows."""
        return self.formulation(name).model_dump(mode="json", include={"title", "source", "notes", "assumptions"})

    def title(self, name: str) -> str:
        """The title of a bottle's file, or what is in the bottle, or its name."""
        return self.formulation(name).title or title_of(asdict(self.composition(name))) or name

    def words_text(self, *names: str) -> str:
        """``words`` of these bottles as canonical JSON; a change of it reports anew."""
        return canonical_json([self.words(name) for name in names])

    def claims_text(self) -> str:
        """Hashes of every claim file that the study is held against, as canonical JSON; a change judges anew."""
        return canonical_json([file_sha256(path) for path in (*shipped_files(), *self.claims)])

    def contacts_text(self) -> str:
        """Options of the contacts stage as canonical JSON; a change searches contacts anew."""
        return canonical_json(self.contacts_facts())

    def contacts_facts(self) -> dict[str, Any]:
        """Options of the contacts stage as plain data."""
        return {"frame_stride": self.analysis.frame_stride, **self.analysis.contacts.facts()}

    def describe_text(self, name: str) -> str:
        """``describe_options`` as canonical JSON, and what is asked of other stages; a change describes anew."""
        options = self.describe_options(name).model_dump(mode="json")
        if self.quantum:
            options |= {"quantum": self.quantum.facts()}
        if self.scattering is None:
            return canonical_json(options)
        curves = [one.model_dump(mode="json") for one in self.measured(name).values()]
        return canonical_json({**options, "scattering": self.scattering.facts(), "measured": curves})


def read_options(path: str | Path) -> StudyFile:
    """The study's own file, checked by itself: all that a job needs which asks for options and for no bottle.

    Raises:
        LmbmdError: naming the file, the key, the value and the remedy.
    """
    data, lines = read_yaml(Path(path))
    return validated(StudyFile, data, path=Path(path), lines=lines)


def claim_files(path: str | Path) -> tuple[Path, ...]:
    """Files of claims that a study names, relative to its own folder."""
    return tuple(Path(path).parent / entry for entry in read_options(path).claims)


def bottle_files(path: str | Path) -> list[Path]:
    """The formulation files that a study names."""
    return _files(read_options(path).formulations, Path(path), {})


def load_study(
    path: str | Path, library: Library | None = None, only: str | None = None, *, composed: bool = True
) -> Study:
    """Read a study, and check and compose every bottle of it.

    A bottle's own key wins over the study's ``defaults``, which win over lmbmd's; keys are replaced whole.

    Args:
        only: read no other bottle than this, if the study has it, and no claims: one job of thousands needs only its
            own, and nobody else's fault may fail it, nor a damaged parameter set that it does not use.
        composed: if not, ``compositions`` stays empty, and species and claims are not looked at: what is asked for is
            then known in a fraction of the time, for whoever only looks at how far thousands of runs are.

    Raises:
        LmbmdError: naming the file, the key, the value and the remedy.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    file = validated(StudyFile, data, path=path, lines=lines)
    formulations = _formulations(path, file, lines, only)
    study = Study(
        path=path,
        name=file.study,
        formulations=formulations,
        compositions={},
        protocol=file.protocol,
        transport=file.transport,
        scattering=file.scattering,
        quantum=file.quantum,
        platform=file.platform,
        analysis=file.analysis,
        library=Library({}, {}),
    )
    if not composed:
        return study
    base = library or load_library()
    own_folder = path.parent / file.force_fields
    faults: dict[str, LmbmdError] = {}
    own = own_sets(own_folder, None if only is None else faults)
    everyone = {name: s for one in own.values() for name, s in one.library.species.items()} | dict(base.species)
    library = replace(base, species=everyone)
    if not faults:  # else a cut-off may be that of a species which only the damaged set knows
        named_cutoffs(
            file.analysis.cutoffs_A,
            cutoff_keys(library, library.species),
            where=lambda key: f"{path}:{place(('analysis', 'cutoffs_A', key), lines)}",
        )
    if file.scattering and only is None:
        _check_measured(file.scattering, path, formulations)
    sites = {f"{s.name}:{site}" for s in library.species.values() for site in s.sites}
    polymers = {name for one in formulations.values() for name in one.polymers} if file.analysis.more_rdfs else set()
    if only is None and not polymers:  # units of a chain have names that the library does not have
        check_pairs(file.analysis.more_rdfs, sites | set(library.species), where=f"{path}:analysis.more_rdfs")
    claims = tuple(path.parent / entry for entry in file.claims)
    if claims and only is None:
        known_claims(claims)
    compositions = {}
    for name, formulation in formulations.items():
        if formulation.force_field in faults:
            raise faults[formulation.force_field]
        compositions[name] = composition_of(formulation, base, own, own_folder)
    if file.scattering and only is None:
        known = {*library.species, *(name for one in compositions.values() for name in one.counts)}
        check_deuterated(file.scattering.deuterated, known, where=f"{path}:scattering.deuterated")
    if file.quantum and file.quantum.bands and file.quantum.bands.of and only is None:
        charges = {s: one.charges[s] for one in compositions.values() for s in one.counts if s not in one.chains}
        check_banded(file.quantum.bands.of, charges, where=f"{path}:{place(('quantum', 'bands', 'of'), lines)}")
    return replace(study, compositions=compositions, library=library, claims=claims, own_sets=own)


def composition_of(formulation: Formulation, base: Library, own: Mapping[str, OwnSet], folder: Path) -> Composition:
    """What is put in the box for a bottle whose parameter set is a released one, or one of a user's own in ``folder``.

    Raises:
        LmbmdError: if it cannot be composed, or the set lacks a species of it.
    """
    chosen = own.get(formulation.force_field)
    found = coverage(formulation, own)
    composition = compose(
        formulation,
        chosen.library if chosen else base,
        cutoff_nm=found.cut_off_A / ANGSTROM_PER_NM,
        ion_charge_scale=found.ion_charge_scale,
    )
    check_coverage([s for s in composition.counts if s not in composition.chains], formulation, own)
    if composition.chains:
        from lmbmd.forcefield.chains.parameters import check_chains  # needs RDKit and OpenMM, which most bottles do not

        released = chosen.extends if chosen else formulation.force_field
        check_chains(composition.chains, released, formulation.where("polymers"))
    return replace(composition, own_sets=str(folder)) if chosen else composition


def _check_measured(asked: StudyScattering, path: Path, names: Iterable[str]) -> None:
    """Refuse a measured curve of no bottle of the study, or that cannot be read."""
    from lmbmd.analysis.scattering.measured import read_measured  # needs numpy, which most plans do not

    for number, one in enumerate(asked.measured):
        if one.formulation not in names:
            what = f"'{one.formulation}' is no bottle of this study." if one.formulation else "it is of no bottle."
            where = f"{path}:scattering.measured[{number}].formulation"
            raise LmbmdError(what, where=where, remedy=nearest(one.formulation, names))
        read_measured(one, path.parent)


def _formulations(path: Path, file: StudyFile, lines: Lines, only: str | None) -> dict[str, Formulation]:
    """The bottles that a study names, in alphabetical order; ``only`` one of them as for ``load_study``."""
    defaults = file.defaults.model_dump(exclude_unset=True)
    formulations: dict[str, Formulation] = {}
    entries = _files(file.formulations, path, lines)
    likely = [e for e in entries if e.stem == only]
    likely = likely or [e for e in entries if only is not None and only.startswith(f"{e.stem}.")]
    for formulation in (f for entry in likely or entries for f in load_formulations(entry, defaults, only)):
        if formulation.name in formulations:
            other = formulations[formulation.name].where()
            raise LmbmdError(
                f"two formulations are called '{formulation.name}': {other} and {formulation.where()}.",
                where=f"{path}:{place(('formulations',), lines)}",
                remedy="Rename one of the files.",
            )
        formulations[formulation.name] = formulation
    return {only: formulations[only]} if only in formulations else dict(sorted(formulations.items()))


def load_study_or_exit(path: str | Path, other_keys: Iterable[str] = (), only: str | None = None) -> Study:
    """``load_study`` for the Snakefile: an error is printed as one paragraph and ends the program.

    Args:
        path: the study's file.
        other_keys: keys given to Snakemake's ``--config`` besides ``study``; there must be none.
        only: as in ``load_study``.
    """
    try:
        for key in other_keys:
            raise LmbmdError(
                f"unknown key '{key}'.",
                where="--config",
                remedy="Only '--config study=FILE' is understood; everything else is written in that file.",
            )
        return load_study(path, only=only)
    except LmbmdError as error:
        _exit(error)


def _exit(error: LmbmdError) -> NoReturn:
    print(f"lmbmd: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code)


def _files(entries: Iterable[str], path: Path, lines: Lines) -> list[Path]:
    """The formulation files that a study names, relative to its own folder."""
    found: list[Path] = []
    for entry in entries:
        target = path.parent / entry
        inside = sorted([*target.glob("*.yaml"), *target.glob("*.yml")]) if target.is_dir() else [target]
        if not inside or not target.exists():
            what = "holds no .yaml file" if target.exists() else "does not exist"
            near = nearest(target.name, [p.name for p in target.parent.iterdir()]) if target.parent.is_dir() else ""
            raise LmbmdError(
                f"'{entry}' {what}.",
                where=f"{path}:{place(('formulations',), lines)}",
                remedy="Add a formulation to it." if target.exists() else f"It is looked for at {target}. {near}",
            )
        found += inside
    return found


def cutoff_keys(library: Library, species: Iterable[str]) -> dict[str, str]:
    """``data.sites.site_keys`` of these species: their cations are looked from, their donor sites looked at."""
    chosen = [library.species[name] for name in species]
    sites = [f"{s.name}:{site}" for s in chosen for site in s.sites]
    return site_keys([s.name for s in chosen if s.charge > 0], sites)
