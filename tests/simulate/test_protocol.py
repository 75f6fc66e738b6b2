"""The specification of a run: exact times, refusals, and what counts as physics."""

from __future__ import annotations

import json

import pytest
import toy
from toy import write_spec

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.protocol import Anneal, Protocol, Transport, differences, load_spec, parse_spec


def changed(path: str, value: object) -> dict:
    """``toy.SPEC`` with one value replaced; ``...`` removes it."""
    data = json.loads(json.dumps(toy.SPEC))
    *folders, key = path.split(".")
    place = data
    for folder in folders:
        place = place[folder]
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return data


def test_times_are_counted_in_whole_steps():
    spec = parse_spec(toy.SPEC, where="spec.json")
    assert (spec.step_as, spec.frame_steps, spec.state_steps) == (4000, 500, 250)
    assert (spec.production_steps, spec.n_frames) == (2_500_000, 5000)
    assert spec.time_ps(spec.production_steps) == 10_000.0


def test_decimal_times_mean_what_was_written():
    """In floating point 1.001 fs are 1000.9999999999999 as; they are 1001."""
    data = changed("protocol.timestep_fs", 1.001)
    data["protocol"].update(frame_interval_ps=3.003, state_interval_ps=1.001, production_ns=0.009009)
    spec = parse_spec(data, where="x")
    assert (spec.step_as, spec.frame_steps, spec.state_steps, spec.n_frames) == (1001, 3000, 1000, 3)
    assert [spec.time_ps(k * spec.frame_steps) for k in (1, 2, 3)] == [3.003, 6.006, 9.009]


def test_a_spec_survives_its_file(tmp_path):
    spec = parse_spec(toy.SPEC, where="x")
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_dict()), encoding="utf-8")
    assert load_spec(tmp_path / "spec.json") == spec


def test_the_length_is_no_physics_and_all_else_is():
    spec = parse_spec(toy.SPEC, where="x")
    assert spec.model_copy(update={"production_ns": 20.0}).physics_sha256 == spec.physics_sha256
    for key, value in {"temperature_K": 300.0, "timestep_fs": 2.0, "frame_interval_ps": 4.0, "anneal": None}.items():
        other = spec.model_copy(update={key: value})
        assert other.physics_sha256 != spec.physics_sha256
        (text,) = differences(spec.physics(), other.physics())
        assert text.startswith(f"{key}: ") and text.endswith(f"→ {value}")


def test_a_run_at_constant_pressure_is_the_one_that_it_was_before_there_were_segments():
    """The hash was read off the commit before: what is finished is not simulated again."""
    spec = parse_spec(toy.SPEC, where="x")
    assert spec.physics_sha256 == "b7cff87f492b664c722f1e34bd653c3ea2c81c788489ba340933309f331164b3"
    assert "dynamics" not in spec.to_dict()
    assert (spec.ensemble, spec.thermostat, spec.production_friction_per_ps) == ("NPT", "langevin", 1.0)


SEGMENT = {
    **toy.SPEC,
    "dynamics": {"ensemble": "NVT", "thermostat": "nose-hoover", "coupling_ps": 2.0, "pressure_interval_ps": 0.04},
}


def test_a_segment_says_its_ensemble_and_that_is_physics(tmp_path):
    spec = parse_spec(SEGMENT, where="x")
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_dict()), encoding="utf-8")
    assert load_spec(tmp_path / "spec.json") == spec and spec.to_dict()["dynamics"] == SEGMENT["dynamics"]
    assert (spec.ensemble, spec.thermostat, spec.production_friction_per_ps) == ("NVT", "nose-hoover", 0.0)
    assert spec.pressure_steps == 10
    free = {**SEGMENT["dynamics"], "ensemble": "NVE", "thermostat": None, "coupling_ps": None}
    other = parse_spec({**SEGMENT, "dynamics": free}, where="x")
    assert (other.ensemble, other.thermostat) == ("NVE", "")
    (text,) = differences(spec.physics(), other.physics())
    assert text.startswith("dynamics: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": "NPT"}, r"x:dynamics\.ensemble: 'NPT' is not a valid choice"),
        ({"ensemble": "NVE"}, r"thermostat and coupling_ps do not go with the ensemble NVE"),
        ({"coupling_ps": None}, r"thermostat and coupling_ps do not go with the ensemble NVT"),
        ({"coupling_ps": 0.0}, r"x:dynamics\.coupling_ps.*: 0\.0 is out of range"),
        ({"pressure_interval_ps": 0.041}, r"pressure_interval_ps = 0\.041 is 10\.25 time steps, not a whole number"),
        ({"barostat": 1}, r"x:dynamics\.barostat: unknown key 'barostat'"),
    ],
)
def test_what_makes_no_sense_of_a_segment_is_refused_by_name(change, message):
    with pytest.raises(LmbmdError, match=message):
        parse_spec({**SEGMENT, "dynamics": {**SEGMENT["dynamics"], **change}}, where="x")


def test_the_protocol_of_a_segment_is_the_studys_but_for_what_transport_says():
    base = Protocol(timestep_fs=2.0, friction_per_ps=0.5, anneal=Anneal())
    found = Transport(length_ns=0.5, settle_ns=0.01, frame_interval_ps=0.5).protocol(base)
    assert (found.production_ns, found.equilibration_ns, found.max_equilibration_ns) == (0.5, 0.01, 0.01)
    assert (found.anneal, found.frame_interval_ps, found.timestep_fs) == (None, 0.5, 2.0)
    assert (found.friction_per_ps, found.constraints) == (0.5, "h-bonds")
    assert Transport(timestep_fs=1.0, hydrogen_mass_amu=1.5).protocol(base).timestep_fs == 1.0
    assert Transport(ensemble="NVE").dynamics.model_dump() == {
        "ensemble": "NVE", "thermostat": None, "coupling_ps": None, "pressure_interval_ps": 0.04
    }  # fmt: skip


def test_the_method_is_physics(monkeypatch):
    spec = parse_spec(toy.SPEC, where="x")
    before = spec.physics()
    monkeypatch.setattr("lmbmd.core.stages.SIMULATE", "simulate/99")
    assert differences(before, spec.physics()) == [f"method: {before['method']} → simulate/99"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "protocol.frame_interval_ps",
            0.0062,
            r"frame_interval_ps = 0\.0062 is 1\.55 time steps, not a whole number\. Give 0\.008 ps",
        ),
        (
            "protocol.state_interval_ps",
            0.001,
            r"state_interval_ps = 0\.001 is 0\.25 time steps, not a whole number\. Give 0\.004 ps",
        ),
        (
            "protocol.production_ns",
            10.001,
            r"production_ns = 10\.001 is 5000\.5 frame intervals, not a whole number\. Give 10 ns",
        ),
        ("protocol.timestep_fs", 1.00005, r"no whole number of attoseconds"),
        ("protocol.timestep_fs", 40.0, r"x:timestep_fs: 40\.0 is out of range\. Give at most 5"),
        ("protocol.timestep_fs", "4", r"timestep_fs: '4' is not a number"),
        ("temperature_K", -5.0, r"x:temperature_K: -5 is out of range\. Temperatures are in kelvin"),
        ("temperature_K", float("nan"), r"temperature_K: nan is not a finite number"),
        ("seeds.thermostat", 1.5, r"x:seeds\.thermostat: 1\.5 is not a whole number"),
        ("seeds.thermostat", 0, r"x:seeds\.thermostat: 0 is out of range\. Give at least 1"),
        ("seeds.thermostat", True, r"thermostat: True is not a whole number"),
        ("protocol.constraints", "hbonds", r"constraints: 'hbonds' is not a valid choice\. Did you mean 'h-bonds'"),
        ("protocol.max_equilibration_ns", 0.5, r"max_equilibration_ns = 0\.5 is less than equilibration_ns = 1"),
        ("protocol.frame_intervall_ps", 2.0, r"x:frame_intervall_ps: unknown key .* Did you mean 'frame_interval_ps'"),
        ("protocol.anneal.hold_ps", 2.0, r"x:anneal\.hold_ps: unknown key 'hold_ps'\. Did you mean 'hold_ns'"),
        ("protocol.anneal.hold_ns", -1.0, r"x:anneal\.hold_ns: -1\.0 is out of range"),
        ("protocol.production_ns", ..., r"x:protocol: the key 'production_ns' is missing"),
        ("seeds.barostat", ..., r"x:seeds\.barostat: the key 'barostat' is missing"),
        ("protocol.seeds", 3, r"x: 'seeds' is given twice"),
        ("protocol", 3, r"x: this is no run specification"),
        ("seeds", 3, r"x:seeds: 3 is not lines of 'key: value'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(path, value, message):
    with pytest.raises(LmbmdError, match=message):
        parse_spec(changed(path, value), where="x")


def test_an_unreadable_spec_names_its_file(tmp_path):
    with pytest.raises(LmbmdError, match=r"none\.json: this is no run specification"):
        load_spec(tmp_path / "none.json")
    write_spec(tmp_path)
    (tmp_path / "spec.json").write_text((tmp_path / "spec.json").read_text(encoding="utf-8")[:-5], encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"spec\.json: this is no run specification"):
        load_spec(tmp_path / "spec.json")
