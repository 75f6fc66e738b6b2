"""A new study from names of the catalogue: a folder, anywhere on disk, in which ``snakemake`` runs."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import write_text
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.words import counted
from lmbmd.core.yamlfile import read_yaml, to_yaml
from lmbmd.formulation.models import Conditions
from lmbmd.literature.catalogue import RUNS, Entry, Standing, box_of, find_entry, load_catalogue, standing
from lmbmd.simulate.protocol import Protocol
from lmbmd.study import layout
from lmbmd.study.study import Study, load_study

_SNAKEFILE = """\
# `snakemake` in this folder runs the study in config/config.yaml with the workflow of the installed lmbmd.
from lmbmd.study.init import workflow_folder

include: str(workflow_folder() / "Snakefile")


rule study:  # an included file cannot say what a plain `snakemake` makes
    default_target: True
    localrule: True
    input:
        rules.all.input,
"""

_CONFIG = """\
# Written by `lmbmd init`. `lmbmd check` says what would run and what it could not tell, `lmbmd estimate` what it would
# cost, `snakemake` runs it. Every key and its default: docs/formulations.md.
study: "{name}"
formulations: formulations        # every .yaml file in this folder is one bottle

defaults:                         # for bottles that do not say otherwise
  force_field: {force_field}
  ion_charge_scale: {scale:<14g}  # factor on the charges of all ions: the model's largest assumption
  temperature_K: {temperature:<17}  # one temperature or a list, such as [273.15, 298.15, 333.15]
  replicas: {replicas:<22}  # independent boxes: error bars need at least three
  seed: 1
  # sweep:                        # each combination becomes a bottle of its own
  #   ion_charge_scale: [0.8, 1.0]

protocol:
  equilibration_ns: {protocol.equilibration_ns:<14g}  # at least so long at constant pressure
  max_equilibration_ns: {protocol.max_equilibration_ns:<10g}  # at most, if density or energy still drift
  production_ns: {production:<17}  # raise it later: finished runs are extended, not begun anew
  frame_interval_ps: {protocol.frame_interval_ps:g}
"""

_IGNORED = f"/{layout.RESULTS}/\n/{layout.WORK}/\n/{layout.LOGS}/\n/.snakemake/\n"


@dataclass(frozen=True)
class Answers:
    """What a new study is to be, as its file says it; the defaults are those of ``lmbmd init`` with names only."""

    names: tuple[str, ...]
    temperature_K: str = "298.15"
    replicas: str = "3"
    production_ns: str = f"{Protocol().production_ns:g}"


def workflow_folder() -> Path:
    """The folder with the Snakefile, its rules and the profiles: inside an installed package, or of the repository.

    Raises:
        LmbmdError: if the installation has none.
    """
    return shipped_folder("workflow", "_workflow", ".", ["Snakefile", "workflow"])


def init(folder: Path, answers: Answers) -> tuple[Study, list[str]]:
    """Write a study of entries of the catalogue, and read it back.

    Args:
        folder: made if it does not exist. Nothing in it is overwritten.
        answers: which entries, and under which conditions.

    Returns:
        The study, and what the user should know: entries that another box answers, values left out.

    Raises:
        LmbmdError: if an entry does not exist, is not simulated or lacks parameters, or a file is in the way.
    """
    bottles, remarks = _bottles(answers.names)
    shipped = workflow_folder()
    config = _CONFIG.format(
        name=_name_of(folder),
        force_field=Conditions().force_field,
        scale=Conditions().ion_charge_scale,
        temperature=answers.temperature_K,
        replicas=answers.replicas,
        production=answers.production_ns,
        protocol=Protocol(),
    )
    files = {"Snakefile": _SNAKEFILE, ".gitignore": _IGNORED, "config/config.yaml": config}
    files |= {f"config/formulations/{name}.yaml": text for name, text in bottles.items()}
    for profile in ("default", "slurm"):
        path = f"profiles/{profile}/config.yaml"
        files[path] = (shipped / path).read_text(encoding="utf-8")
    for name in files:
        if (folder / name).exists():
            raise LmbmdError(
                "this file exists, and nothing is overwritten.",
                where=str(folder / name),
                remedy="Give a new folder, or move it away.",
            )
    for name, text in files.items():
        write_text(folder / name, text)
    return load_study(folder / "config" / "config.yaml"), remarks


def _bottles(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The text of each bottle's file, and remarks."""
    texts, remarks = {}, []
    for name in names:
        entry = box_of(find_entry(name))
        if entry.name != name:
            remarks.append(f"'{name}' has no box of its own: that of '{entry.name}' answers it.")
        found = standing(entry)
        if found.state not in RUNS:
            what = f"'{entry.name}' cannot be simulated here: {found.state}, {found.detail}."
            raise LmbmdError(what, remedy=f"`lmbmd catalogue {entry.name}` says more.")
        text, left_out = _file(entry, found)
        texts[entry.name] = text
        if left_out:
            remarks.append(f"left out of '{entry.name}', as parameters are lacking: {', '.join(left_out)}.")
    return texts, remarks


def _file(entry: Entry, found: Standing) -> tuple[str, list[str]]:
    """The entry's file as a bottle of a study, and the bottles of its sweep that cannot be built.

    Without its section ``catalogue``; with the force field it needs, if that is not the default; and without the values
    of its sweep that lack parameters.
    """
    data, _ = read_yaml(entry.path)
    del data["catalogue"]
    dead = [bottle for bottle in found.bottles if bottle.composition is None]
    if dead:
        ((key, values),) = data["sweep"].items()
        alive = zip(values, found.bottles, strict=True)
        data["sweep"] = {key: [value for value, bottle in alive if bottle.composition]}
    needed = {bottle.force_field for bottle in found.bottles if bottle.composition} - {Conditions().force_field}
    if needed:
        data["force_field"] = max(needed)
    head = f"# From lmbmd's catalogue: `lmbmd catalogue {entry.name}`. What it assumes is said in its report.\n"
    return head + to_yaml(data), [bottle.formulation.name for bottle in dead]


def _name_of(folder: Path) -> str:
    plain = unicodedata.normalize("NFKD", folder.resolve().name.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._") or "study"


def told(study: Study, remarks: Sequence[str]) -> str:
    """What was written and what to do next."""
    folder = study.path.parent.parent
    boxes = [f"  {name}: {study.composition(name).n_atoms} atoms" for name in study.names]
    lines = [f"{folder}: {counted(len(study.names), 'bottle')}, {counted(len(study.runs()), 'run')}", *boxes, *remarks]
    return "\n".join([*lines, "", f"  cd {shlex.quote(str(folder))}", "  lmbmd check", "  snakemake"])


def ask(read: Callable[[str], str], say: Callable[[str], None]) -> Answers:
    """A short round of questions; an answer that cannot be is asked for again.

    Args:
        read: shows a prompt and returns a line.
        say: shows a line.
    """
    say("Which electrolytes? A name of the catalogue, or words to look for, such as 'LiFSI TTE'. Empty when done.")
    names: list[str] = []
    while (line := read("electrolyte: ").strip()) or not names:
        found = [line] if line in load_catalogue() else _look_for(line.split())
        if len(found) != 1:
            say("\n".join(f"  {name}: {find_entry(name).title}" for name in found[:20]) or "  nothing found")
            continue
        try:
            _bottles(found)
            names += [name for name in found if name not in names]
            say(f"  taken: {found[0]}, {find_entry(found[0]).title}")
        except LmbmdError as error:
            say(f"  {error}")

    def number(prompt: str, model: type[BaseModel], key: str) -> str:
        shown = getattr(Answers, key)
        while text := read(f"{prompt} [{shown}]: ").strip():
            try:
                values = _numbers(text)
                model.model_validate({key: values if key == "temperature_K" else values[0]})
                return f"[{', '.join(map(str, values))}]" if len(values) > 1 else str(values[0])
            except ValueError:
                say(f"  '{text}' cannot be.")
        return shown

    temperature = number("temperatures in K", Conditions, "temperature_K")
    replicas = number("replicas of each", Conditions, "replicas")
    production = number("production in ns", Protocol, "production_ns")
    return Answers(tuple(names), temperature, replicas, production)


def _numbers(text: str) -> list[float | int]:
    """Numbers between commas or spaces.

    Raises:
        ValueError: if a part is no number.
    """
    return [int(part) if part.isdigit() else float(part) for part in text.replace(",", " ").split()]


def _look_for(words: Sequence[str]) -> list[str]:
    """Entries that can be simulated and whose name, title or components have all the words."""
    entries = [entry for entry in load_catalogue().values() if words]
    return [
        entry.name
        for entry in entries
        if all(word.lower() in f"{entry.name} {entry.title} {' '.join(entry.mentions)}".lower() for word in words)
        and standing(entry).state in RUNS
    ]
