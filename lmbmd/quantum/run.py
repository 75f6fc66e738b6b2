"""All energies of the shells of one replica: jobs over several processes, each kept as soon as it is done."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json, sealed, write_text
from lmbmd.core.progress import Progress
from lmbmd.core.provenance import canonical_json, sha256_of, versions
from lmbmd.core.workers import shared
from lmbmd.quantum.bands import OF_BAND, Band, band, band_job, band_of, pbe0
from lmbmd.quantum.drawn import CLASSES, Drawn, DrawnPartners, DrawnShell, classes_of, counts_of, refusal
from lmbmd.quantum.energies import OF_FREE, OF_MOLECULE, OF_SHELL, free_molecule, relaxed, shell_energies
from lmbmd.quantum.methods import Variant, check_installed, variants
from lmbmd.quantum.options import QuantumOptions
from lmbmd.quantum.solution import NotConverged

_REMEDY = "Run the quantum stage again."
#: Of so many drawn geometries of a species the free molecule's minimum is looked for.
FREE_STARTS = 3
#: What of a job's data decides its result, and by whom it is computed.
_DECIDES = {
    "shell": ("molecules", "element", "xyz_A", "contacts"),
    "free": ("charge_e", "element", "starts"),
    "band": ("element", "xyz_A", "moving", "charge_e", "contacts", "around_e", "around_A", "bonds", "window_cm"),
}
#: Versions of the jobs by geometry. Not the stage's: what is kept took hours, and goes only where its numbers change.
_JOBS = {"sampled": "quantum/1", "relaxed": "quantum/2", "band": "bands/1"}
_PROGRAMS = {"gfn2": ("tblite",), "pbe0": ("pyscf", "tblite")}


@dataclass(frozen=True, eq=False)
class Energies:
    """What was computed of one replica.

    Attributes:
        centre: the species of the ions.
        counts: (n_frames, 4) ions of each class in every frame of the run.
        shells: of each drawn shell its name, label, class (``kind``), frame, time_ps, and ``found``: by the key of the
            variant what ``shell_energies`` gives, or ``why_not``.
        free: by the key of the variant and the species what ``free_molecule`` gives, or ``why_not``.
        variants: by their keys; the first became descriptors.
        why_not: why nothing could be computed; "" if it was.
        facts: options, stage and versions.
        bands: by species of anions and solvents ``classes`` and ``counts`` (of each class in every frame), and
            ``title`` of the band, ``n_groups`` (how many equal groups a molecule has), ``shells`` (as above, ``found``
            being what ``bands.band`` gives, or ``why_not``) and ``alone``, what was found of molecules by themselves;
            or ``why_not``, if no band is known of it. Empty if bands are not asked for.
    """

    centre: str
    counts: np.ndarray
    shells: tuple[Mapping[str, Any], ...]
    free: Mapping[str, Mapping[str, Mapping[str, Any]]]
    variants: Mapping[str, Variant]
    why_not: str
    facts: Mapping[str, Any]
    bands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def write(self, path: str | os.PathLike[str]) -> None:
        """As sealed JSON."""
        data = {
            **self.facts,
            "centre": self.centre,
            "counts": self.counts.tolist(),
            "shells": list(self.shells),
            "free": self.free,
            "variants": {key: asdict(one) for key, one in self.variants.items()},
            "why_not": self.why_not,
            **({"bands": self.bands} if self.bands else {}),
        }
        write_text(path, json.dumps(sealed(_without_nan(data)), ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Energies:
        """What ``write`` wrote.

        Raises:
            LmbmdError: if it cannot be read, is none, or was edited.
        """
        data = read_json(path, what="file of energies of shells", remedy=_REMEDY, is_sealed=True)
        try:
            shells, free = tuple(data.pop("shells")), data.pop("free")
            known = {key: Variant(**one) for key, one in data.pop("variants").items()}
            centre, why_not = str(data.pop("centre")), str(data.pop("why_not"))
            counts = counts_of(data.pop("counts"))
            bands = data.pop("bands", {})
            _check_fits(shells, free, known)
            _check_bands(bands)
            asked = QuantumOptions(**data["options"])
            if (bands and asked.bands is None) or not (shells or why_not):
                raise ValueError("its parts do not fit together")
            return cls(centre, counts, shells, free, known, why_not, data, bands)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise damaged(Path(path), "file of energies of shells", error, _REMEDY) from error


def _check_fits(
    shells: Sequence[Mapping[str, Any]], free: Mapping[str, Mapping[str, Any]], known: Mapping[str, Variant]
) -> None:
    """Refuse what ``compute`` cannot have made.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: then.
    """

    def check(found: Mapping[str, Any], keys: Sequence[str]) -> None:
        if not all(value is None or type(value) in (int, float) for value in (found[key] for key in keys)):
            raise ValueError(f"one of {', '.join(keys)} is no number")

    if any(type(part) is not str for one in known.values() for part in (one.method, one.basis, one.geometry)):
        raise ValueError("one of its variants is none")
    if any(key != one.key for key, one in known.items()):
        raise ValueError("one of its variants has another name")
    for shell in shells:
        words = [shell[key] for key in ("name", "label", "kind")]
        if not all(isinstance(word, str) for word in words) or shell["kind"] not in CLASSES:
            raise ValueError("one of its shells has no name, label or class")
        if type(shell["frame"]) is not int or not set(shell["found"]) <= set(known):
            raise ValueError(f"the shell '{shell['name']}' does not fit together")
        for found in shell["found"].values():
            if isinstance(found.get("why_not"), str):
                continue
            check(found, (*OF_SHELL, "energy_kJ_mol"))
            for molecule in found["molecules"]:
                if not isinstance(molecule["species"], str):
                    raise ValueError(f"a molecule of the shell '{shell['name']}' has no species")
                check(molecule, OF_MOLECULE)
    for each in free.values():
        for found in each.values():
            if not isinstance(found.get("why_not"), str):
                check(found, OF_FREE)


def _check_bands(bands: Mapping[str, Mapping[str, Any]]) -> None:
    """Likewise of bands.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: then.
    """
    for one in bands.values():
        classes = classes_of(one)
        counts_of(one["counts"], classes)
        if not isinstance(one.get("why_not", one.get("title")), str):
            raise ValueError("its bands do not fit together")
        if type(one.get("n_groups", 1)) is not int:
            raise ValueError("one of its bands is of no number of groups")
        of_shells, alone = ((), ()) if "why_not" in one else (one["shells"], one["alone"])
        for shell in of_shells:
            words = [shell[key] for key in ("name", "label")]
            is_sound = all(isinstance(word, str) for word in words) and type(shell["frame"]) is int
            if not is_sound or shell["kind"] not in classes:
                raise ValueError("a molecule among its bands does not fit together")
        for found in (*(shell["found"] for shell in of_shells), *alone):
            if not isinstance(found.get("why_not"), str) and any(type(found[k]) not in (int, float) for k in OF_BAND):
                raise ValueError("one of its bands is no number")


def _without_nan(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data


def compute(
    drawn: Drawn, options: QuantumOptions, cache: str | os.PathLike[str], workers: int = 1, progress: bool = True
) -> Energies:
    """Energies of every drawn shell, in every variant that was asked for.

    Each job leaves a file in ``cache``, named by a hash of all that decides its result, as soon as it is done: who is
    killed repeats nothing that was finished, and a change of the options only what it concerns. A shell that does not
    converge has ``why_not`` instead of numbers, and is counted.

    Args:
        drawn: the shells.
        options: what is computed.
        cache: a folder.
        workers: processes.
        progress: say how far it is.

    Raises:
        LmbmdError: if a program is not installed, or a file cannot be written.
    """
    first = variants(options)
    jobs = [(shell, variant) for variant in first for shell in drawn.shells]
    if options.dft_per_class and options.method != "pbe0":
        few = _first_of_each(drawn.shells, options.dft_per_class)
        jobs += [(shell, variant) for variant in variants(options, "pbe0") for shell in few]
    used = list(dict.fromkeys(variant for _, variant in jobs))
    facts = {
        "stage": stages.QUANTUM,
        "options": options.facts(),
        "drawn_by": drawn.stage,
        "versions": {key: value for key, value in versions().items() if key in ("lmbmd", "tblite", "pyscf")},
    }
    if drawn.why_not or not jobs:
        why = drawn.why_not or "no shell was drawn"
        return Energies(drawn.centre, drawn.counts, (), {}, {}, why, facts)
    check_installed(options)
    starts = _free_starts(drawn.shells)
    plain = [("shell", shell.plain(), asdict(variant)) for shell, variant in jobs]
    plain += [("free", one, asdict(variant)) for variant in used for one in starts]
    n_energies = len(plain)
    of_bands = {one.species: _band_jobs(one) for one in drawn.partners} if options.bands else {}
    if options.bands:
        by = asdict(Variant("pbe0", options.bands.basis, None, "relaxed"))
        plain += [("band", data, by) for each in of_bands.values() if each for data in (*each.shells, *each.alone)]
    found = list(_kept(plain, Path(cache), workers, progress))
    of_shell: dict[str, dict[str, Any]] = {shell.name: {} for shell in drawn.shells}
    for (shell, variant), one in zip(jobs, found, strict=False):
        of_shell[shell.name][variant.key] = one
    free: dict[str, dict[str, Any]] = {}
    names = [(variant.key, one["species"]) for variant in used for one in starts]
    for (name, species), one in zip(names, found[len(jobs) : n_energies], strict=True):
        free.setdefault(name, {})[species] = one
    shells = tuple(
        {
            "name": shell.name,
            "label": shell.label,
            "kind": shell.kind,
            "frame": shell.frame,
            "time_ps": shell.time_ps,
            "found": of_shell[shell.name],
        }
        for shell in drawn.shells
    )
    bands = _filed(drawn.partners, of_bands, found[n_energies:])
    return Energies(drawn.centre, drawn.counts, shells, free, {one.key: one for one in used}, "", facts, bands)


class _BandJobs(NamedTuple):
    """Of one species: its band, jobs of the drawn molecules, and of some of them by themselves."""

    band: Band
    shells: list[dict[str, Any]]
    alone: list[dict[str, Any]]


def _band_jobs(partners: DrawnPartners) -> _BandJobs | None:
    """None if no band is known of it. By themselves, those that touch no ion come first: they are computed anyway."""
    if not partners.shells:
        return None
    one = partners.shells[0]
    own = one.atoms[0]
    known = band_of([one.element[k] for k in own], one.xyz_A[list(own)], one.molecules[0].charge_e)
    if known is None:
        return None
    first = sorted(partners.shells, key=lambda shell: partners.classes.index(shell.kind))[:FREE_STARTS]
    jobs = [band_job(shell, known) for shell in partners.shells]
    return _BandJobs(known, jobs, [band_job(shell, known, is_alone=True) for shell in first])


def _filed(
    partners: Sequence[DrawnPartners], jobs: Mapping[str, _BandJobs | None], found: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What was found of each species' band, in the order of the jobs."""
    bands: dict[str, dict[str, Any]] = {}
    results = iter(found)
    for one in partners:
        filed: dict[str, Any] = {"classes": list(one.classes), "counts": one.counts.tolist()}
        each = jobs.get(one.species)
        if each is None:
            filed["why_not"] = "none was drawn" if not one.shells else "no band is known of it"
        else:
            words = [{k: getattr(s, k) for k in ("name", "label", "kind", "frame", "time_ps")} for s in one.shells]
            filed |= {"title": each.band.title, "n_groups": len(each.band.groups)}
            filed |= {"shells": [{**said, "found": next(results)} for said in words]}
            filed["alone"] = [next(results) for _ in each.alone]
        bands[one.species] = filed
    return bands


def nothing(drawn: Drawn, options: QuantumOptions, why: LmbmdError) -> Energies:
    """The outcome of a computation that could not begin."""
    facts = {"stage": stages.QUANTUM, "options": options.facts(), "drawn_by": drawn.stage}
    return Energies(drawn.centre, drawn.counts, (), {}, {}, refusal(why), facts)


def _first_of_each(shells: Sequence[DrawnShell], n: int) -> list[DrawnShell]:
    """Of each class ``n`` shells, spread over those that were drawn."""
    found = []
    for kind in CLASSES:
        mine = [shell for shell in shells if shell.kind == kind]
        if mine:
            places = np.unique(np.linspace(0, len(mine) - 1, min(n, len(mine))).round().astype(int))
            found += [mine[k] for k in places.tolist()]
    return found


def _free_starts(shells: Sequence[DrawnShell]) -> list[dict[str, Any]]:
    """Elements and geometries of one molecule of each species."""
    found: dict[str, dict[str, Any]] = {}
    for shell in shells:
        for molecule, span in zip(shell.molecules, shell.atoms, strict=True):
            if span.start == 0:
                continue
            one = found.setdefault(
                molecule.species,
                {
                    "species": molecule.species,
                    "charge_e": molecule.charge_e,
                    "element": [shell.element[i] for i in span],
                    "starts": [],
                },
            )
            if len(one["starts"]) < FREE_STARTS:
                one["starts"].append(np.round(shell.xyz_A[list(span)], 3).tolist())
    return list(found.values())


def _kept(
    jobs: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]], cache: Path, workers: int, progress: bool
) -> Iterator[dict[str, Any]]:
    """The result of each job: from the cache, or computed and put there."""
    installed = versions()
    paths = []
    for kind, data, variant in jobs:
        programs = {name: installed.get(name) for name in _PROGRAMS[variant["method"]]}
        decides = [
            _JOBS[kind if kind == "band" else variant["geometry"]],
            programs,
            kind,
            {key: data[key] for key in _DECIDES[kind]},
            variant,
        ]
        paths.append(cache / f"{sha256_of(canonical_json(decides).encode())[:32]}.json")
    known = {k: found for k, path in enumerate(paths) if (found := _cached(path)) is not None}
    # One job may stand for several: the same shell, drawn twice, has one path.
    todo = {path: job for k, (job, path) in enumerate(zip(jobs, paths, strict=True)) if k not in known}
    # Processes share the cores, not threads: these, of which a workflow asks for as many as cores, would wait spinning.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    computed: dict[Path, dict[str, Any]] = {}
    with Progress(sys.stderr if progress else None) as bar:
        bar.begin("energies of shells", len(jobs), done=len(known), unit="jobs")
        arguments = ((*job, str(path)) for path, job in todo.items())
        for path, result in zip(todo, shared(_job, arguments, workers, str(cache), apart=True), strict=True):
            computed[path] = result
            bar.at(len(known) + len(computed))
    for k, path in enumerate(paths):
        yield known[k] if k in known else computed[path]


def _cached(path: Path) -> dict[str, Any] | None:
    """A kept result; None if there is none, or it is damaged: then it is computed again."""
    if not path.is_file():
        return None
    try:
        found = read_json(path, what="result", remedy="", is_sealed=True)
    except LmbmdError:
        return None
    return found


def _job(kind: str, data: Mapping[str, Any], variant: Mapping[str, Any], path: str) -> dict[str, Any]:
    """One result, written where it is kept; an error that may not come again is an outcome that is not kept."""
    chosen = Variant(**variant)
    solve = chosen.solver()
    try:
        if kind == "band":
            found: dict[str, Any] = band(data, pbe0(data, chosen.basis))
        elif kind == "free":
            places = [np.array(x) for x in data["starts"]]
            found = free_molecule(data["element"], places, data["charge_e"], solve, chosen.permittivity)
        else:
            shell = DrawnShell.from_plain(data)
            x = relaxed(shell, chosen.permittivity) if chosen.geometry == "relaxed" else None
            found = shell_energies(shell, solve, x)
            if x is not None:
                found["xyz_A"] = np.round(x, 3).tolist()
    except NotConverged as error:
        found = {"why_not": str(error)}
    except LmbmdError as error:
        found = {"why_not": refusal(error)}
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError) as error:  # of a library
        return {"why_not": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    found = _without_nan(found)
    write_text(path, json.dumps(sealed(found), ensure_ascii=False) + "\n")
    return found
