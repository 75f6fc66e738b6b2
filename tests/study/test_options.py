"""Each option is declared once: what `lmbmd check` accepts is what the job accepts, at every bound of every number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from lmbmd.analysis.clusters.options import CipaThresholds, CompactnessOptions
from lmbmd.analysis.options import AnalysisOptions, DescribeOptions
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Anneal, Protocol, RunSpec, load_spec
from lmbmd.study.study import StudyFile, load_study

SECTIONS = {"protocol": Protocol, "platform": PlatformOptions, "analysis": AnalysisOptions}


def bounds(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, float]]:
    """(key path, type, bound) of every bounded number, from the JSON schema."""
    schema = model.model_json_schema()

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, float]]:
        for key, value in node.get("properties", {}).items():
            choices = value.get("anyOf", [value])
            for choice in choices:
                if "$ref" in choice:
                    yield from walk(schema["$defs"][choice["$ref"].rpartition("/")[2]], (*path, key))
                for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
                    if word in choice:
                        yield (*path, key), choice["type"], choice[word]

    yield from walk(schema, path)


def cases() -> Iterator[Any]:
    """At each bound, and a little to both sides of it."""
    for section, model in SECTIONS.items():
        for path, kind, bound in bounds(model):
            step = 1 if kind == "integer" else max(abs(bound) / 2, 0.25)
            for value in (bound - step, bound, bound + step):
                value = int(value) if kind == "integer" else float(value)
                yield pytest.param((section, *path), value, id=f"{'.'.join((section, *path))}={value:g}")


def study_with(folder: Path, path: tuple[str, ...], value: Any) -> Path:
    section: Any = value
    for key in reversed(path):
        section = {key: section}
    (folder / "bottles").mkdir(exist_ok=True)
    bottle = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {box_edge_nm: 2.5}\n"
    (folder / "bottles" / "dme.yaml").write_text(bottle, encoding="utf-8")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"study": "test", "formulations": "bottles", **section}), encoding="utf-8")
    return file


GOOD = {
    "temperature_K": 300.0,
    "pressure_bar": 1.0,
    "seeds": {"velocities": 1, "thermostat": 2, "barostat": 3},
    "protocol": Protocol().model_dump(),
}


def job_accepts(folder: Path, path: tuple[str, ...], value: Any) -> bool:
    """Whether the stage that uses an option takes this value of it."""
    section, *keys = path
    try:
        if section == "protocol":
            protocol = {**Protocol().model_dump(), keys[0]: value if len(keys) == 1 else {keys[1]: value}}
            (folder / "spec.json").write_text(json.dumps({**GOOD, "protocol": protocol}), encoding="utf-8")
            load_spec(folder / "spec.json")
        elif section == "platform":
            PlatformOptions.model_validate({keys[0]: value})
        elif keys[0] in ContactOptions.model_fields:
            ContactOptions.model_validate({keys[0]: value})
        elif keys[0] == "frame_stride":
            AnalysisOptions.model_validate({keys[0]: value})
        else:
            DescribeOptions.model_validate({keys[0]: value if len(keys) == 1 else {keys[1]: value}})
        return True
    except (LmbmdError, ValidationError):
        return False


@pytest.mark.parametrize(("path", "value"), [*cases()])
def test_check_and_job_agree_at_every_bound(tmp_path, path, value):
    try:
        study = load_study(study_with(tmp_path, path, value))
    except LmbmdError as error:
        # Options of the analysis that are fine by themselves may not fit together: then nothing is planned, either.
        together = "search_radius_A" in str(error)
        assert together or not job_accepts(tmp_path, path, value), error
        return
    assert job_accepts(tmp_path, path, value)
    (tmp_path / "spec.json").write_text(json.dumps(study.spec("dme", "298.15", 1)), encoding="utf-8")
    run = load_spec(tmp_path / "spec.json")
    assert Protocol(**{key: getattr(run, key) for key in Protocol.model_fields}) == study.protocol
    assert (study.analysis.contacts, study.describe_options("dme")) == (
        ContactOptions(**study.analysis.contacts.model_dump()),
        DescribeOptions(**study.analysis.describing.model_dump()),
    )


def test_the_bounds_are_found():
    found = {(".".join(path), bound) for model in SECTIONS.values() for path, _, bound in bounds(model)}
    numbers = {"friction_per_ps", "timestep_fs", "hydrogen_mass_amu", "barostat_interval", "anneal.temperature_K"}
    assert numbers | {"threads", "bins_per_A", "cipa.min_ions", "compactness.density_radius_A"} <= {k for k, _ in found}
    assert {("friction_per_ps", 0.001), ("friction_per_ps", 100)} <= found


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("protocol", "friction_per_ps"), 0.0005, "0.0005 is out of range. Give at least 0.001."),
        (("protocol", "timestep_fs"), 0.005, "0.005 is out of range. Give at least 0.01."),
        (("protocol", "timestep_fs"), 1.00005, "no whole number of attoseconds"),
        (("protocol", "hydrogen_mass_amu"), 4.5, "4.5 is out of range. Give at most 4."),
        (("protocol", "barostat_interval"), 20_000, "20000 is out of range. Give at most 10000."),
        (("protocol", "anneal", "temperature_K"), 1500.0, "1500 is out of range. Temperatures are in kelvin"),
        (("analysis", "cutoffs_A", "FSI:O"), 20.5, "20.5 is out of range. Give at most 20."),
    ],
)
def test_check_refuses_what_the_job_would_refuse(tmp_path, capsys, path, value, message):
    assert main(["check", "--study", str(study_with(tmp_path, path, value))]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_model_of_the_study_is_the_model_of_the_job():
    fields = StudyFile.model_fields
    assert {name: fields[name].annotation for name in SECTIONS} == SECTIONS
    assert issubclass(RunSpec, Protocol)
    for key, field in Protocol.model_fields.items():
        assert RunSpec.model_fields[key].metadata == field.metadata
    for part in (ContactOptions, DescribeOptions):
        assert issubclass(AnalysisOptions, part)
    assert DescribeOptions.model_fields["cipa"].annotation is CipaThresholds
    assert DescribeOptions.model_fields["compactness"].annotation is CompactnessOptions
    assert Protocol.model_fields["anneal"].annotation == Anneal | None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("length_ns", 0.0015, "length_ns = 0.0015 is 1.5 frame intervals, not a whole number. Give 0.002 ns."),
        ("pressure_interval_ps", 0.001, "pressure_interval_ps = 0.001 is 0.25 time steps, not a whole number."),
        ("timestep_fs", 3.0, "frame_interval_ps = 1 is 333.333 time steps, not a whole number."),
        ("segments", 65, "65 is out of range. Give at most 64."),
        ("thermostat", "langevin", "'langevin' is not a valid choice."),
    ],
)
def test_check_refuses_segments_whose_times_do_not_fit(tmp_path, capsys, key, value, message):
    assert main(["check", "--study", str(study_with(tmp_path, ("transport", key), value))]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told and "transport" in told


def test_check_refuses_a_time_step_that_is_too_long_for_a_molecule_as_both_engines_do(tmp_path, capsys):
    file = study_with(tmp_path, ("study",), "x")
    bottle = tmp_path / "bottles" / "dme.yaml"
    bottle.write_text(bottle.read_text(encoding="utf-8").replace("DME", "AN"), encoding="utf-8")
    assert main(["check", "--study", str(file)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "4 fs is too long for the bond between atoms 2 and 3 of AN" in told
    assert "Give timestep_fs: 2.5, or less" in told


def test_a_thermostat_that_the_engine_does_not_have_is_refused_before_anything_runs(tmp_path, capsys):
    file = study_with(tmp_path, ("transport", "thermostat"), "bussi")
    load_study(file)
    with open(file, "a", encoding="utf-8") as handle:
        handle.write("platform: {engine: openmm}\n")
    assert main(["check", "--study", str(file)]) == 2
    assert "platform" in (told := " ".join(capsys.readouterr().err.split())) and "'bussi', which OpenMM" in told


def test_segments_leave_the_specification_of_the_production_as_it_was(tmp_path):
    plain = load_study(study_with(tmp_path, ("study",), "x"))
    study = load_study(study_with(tmp_path, ("transport", "segments"), 2))
    assert study.spec("dme", "298.15", 1) == plain.spec("dme", "298.15", 1) and list(study.segments) == [1, 2]
    one, two = (study.spec("dme", "298.15", 1, segment) for segment in (1, "2"))
    assert one.pop("seeds") != two.pop("seeds") and one == two and one["dynamics"]["ensemble"] == "NVT"
    with pytest.raises(LmbmdError, match=r"there is no transport segment 3\. There are 2 of each replica"):
        study.spec("dme", "298.15", 1, 3)
    with pytest.raises(LmbmdError, match=r"there is no transport segment 1\. There are 0 of each replica"):
        plain.spec("dme", "298.15", 1, 1)
