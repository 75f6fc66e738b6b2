"""What a study costs and cannot tell, known beforehand: by hand, and beside a real run of the same box."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from openmm import unit
from planning import planned
from tiny_study import BOTTLE as TINY

from lmbmd.analysis.clusters.cipa import BOX_TOO_SMALL
from lmbmd.analysis.convergence import LEAST_CENTRES, LEAST_REPLICAS, LEAST_RUN_NS, RESIDENCE_TIMES
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.box import tile
from lmbmd.box.packing import closest_contact_A
from lmbmd.box.pdb import pdb_text
from lmbmd.box.system import build_system
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.counts import ENOUGH_MOLECULES
from lmbmd.forcefield.parameters import load_set
from lmbmd.simulate import runner
from lmbmd.simulate.engines.platform import PlatformReport, cores
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import parse_spec
from lmbmd.simulate.run import simulate
from lmbmd.study.forecast import cost, forecast, speed, timing
from lmbmd.study.forecast.cautions import disk_caution
from lmbmd.study.forecast.speed import Speed
from lmbmd.study.study import load_study
from lmbmd.trajectory import read_frames

SOLVENT = "solvents: {DME: rest}\nsize: {box_edge_nm: 2.5}\n"
PROTOCOL = "protocol: {production_ns: %g, equilibration_ns: 1, max_equilibration_ns: 3%s}\n"
HAND = Speed(100.0, 1000, "a machine", 2, False, "by hand")


def study_of(folder: Path, config: str = "", **bottles: str):
    (folder / "formulations").mkdir(parents=True, exist_ok=True)
    for name, text in bottles.items():
        (folder / "formulations" / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = folder / "config.yaml"
    path.write_text(f"study: test\nformulations: formulations\n{config}", encoding="utf-8")
    return load_study(path)


def spec_of(study, name: str = "tiny"):
    return parse_spec(study.spec(name, study.temperatures(name)[0], 1), where="test")


# ---- arithmetic


def test_a_box_twice_as_large_takes_half_the_steps():
    assert HAND.steps_per_s_of(2000) == 50
    assert HAND.ns_per_day(2000, 4.0) == pytest.approx(50 * 4e-6 * 86400)


@pytest.mark.parametrize(
    ("more", "least", "most"),
    [
        ("", 3000 + 250_000 + 2_500_000, 3000 + 750_000 + 2_500_000),
        (", timestep_fs: 2", 2000 + 500_000 + 5_000_000, 2000 + 1_500_000 + 5_000_000),
        (", anneal: {heat_ns: 0.1, hold_ns: 0.2, cool_ns: 0.3}", 2_753_000 + 150_000, 3_253_000 + 150_000),
    ],
)
def test_the_steps_of_a_run_are_softening_annealing_equilibration_and_production(tmp_path, more, least, most):
    study = study_of(tmp_path, PROTOCOL % (10, more), tiny=TINY)
    assert cost.steps_of_run(spec_of(study)) == (least, most)


def test_hours_and_disk_are_those_of_all_temperatures_and_replicas(tmp_path):
    study = study_of(tmp_path, PROTOCOL % (10, ""), tiny=TINY + "temperature_K: [280, 300]\nreplicas: 3\n")
    found, atoms = cost.cost_of(study, "tiny", HAND), study.composition("tiny").n_atoms
    assert (found.runs, found.atoms) == (6, atoms)
    seconds = 2_753_000 * atoms / 100_000
    assert found.run_h[0] == pytest.approx(seconds / 3600)
    assert found.hours[0] == pytest.approx(6 * 2 * seconds / 3600)
    assert found.hours[1] / found.hours[0] == pytest.approx(3_253_000 / 2_753_000)
    assert found.disk_bytes == pytest.approx(6 * found.run_disk.total + 3 * 900 * atoms + 2 * 4e6)


def test_the_trajectory_grows_with_frames_and_contacts_with_every_second_of_them(tmp_path):
    study = study_of(tmp_path, PROTOCOL % (10, ", frame_interval_ps: 2"), tiny=TINY)
    box, sites = study.composition("tiny"), cost.donor_sites(study.composition("tiny"))
    assert sites == 7 * box.counts["FSI"] + 2 * box.counts["DME"]  # four O, two F, one N; two O
    options = study.analysis
    disk = cost.run_disk(box, spec_of(study), sites, options)
    assert disk.trajectory == pytest.approx(5000 * (92 + 3.95 * box.n_atoms))
    assert disk.logs == pytest.approx(60 * (10_000 + 3000))
    half = cost.run_disk(box, spec_of(study), sites, options.model_copy(update={"frame_stride": 2}))
    assert half.contacts == pytest.approx(disk.contacts / 2, rel=1e-3)
    wide = cost.run_disk(box, spec_of(study), sites, options.model_copy(update={"search_radius_A": 10.0}))
    ideal = 7 * sites / box.box_edge_A**3 * 4 / 3 * np.pi * 125
    assert wide.contacts - disk.contacts == pytest.approx(5000 * 4 * 1.2 * 7 * ideal)


@pytest.mark.slow
def test_jobs_are_those_of_snakemakes_dry_run(tmp_path):
    bottle = TINY + "temperature_K: [280, 300]\nreplicas: 3\n"
    study = study_of(tmp_path / "config", a=bottle, b=TINY)
    assert forecast.jobs(study, ["a", "b"]) == planned(tmp_path)


# ---- what is timed


@pytest.mark.parametrize(
    ("edge_A", "tiles"),
    [(22.0, (1, 1, 1)), (30.2, (1, 1, 1)), (30.3, (1, 1, 2)), (47.9, (1, 2, 2)), (48.0, (2, 2, 2)), (72.0, (3, 3, 3))],
)
def test_a_box_is_made_of_the_smallest_tiles_that_fill_it(edge_A, tiles):
    assert tile.tiling(edge_A, 24.0) == tiles


def test_a_tile_is_the_bottle_itself_or_a_neutral_piece_of_its_density(tmp_path):
    box = study_of(tmp_path, big=TINY.replace("7,", "80,")).composition("big")
    assert tile.tile(box, 1)[0] == box.counts
    assert tile.tile(box, 1)[1] == pytest.approx(box.box_edge_A)
    counts, edge_A = tile.tile(box, 8)
    assert counts["Li"] == counts["FSI"] == 10
    assert counts["DME"] == round(box.counts["DME"] / 8)
    assert edge_A == pytest.approx(box.box_edge_A / 2, rel=2e-3)
    assert tile.tile(box, 1000)[0] == {"Li": 1, "FSI": 1, "DME": 1}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> SimpleNamespace:
    """A tiny study, its liquid as it is timed, and how fast that was."""
    folder = tmp_path_factory.mktemp("tiny")
    times = "equilibration_ns: 0.0002, max_equilibration_ns: 0.0002, production_ns: 0.0012"
    study = study_of(folder, f"protocol: {{{times}, frame_interval_ps: 0.1, state_interval_ps: 0.02}}\n", tiny=TINY)
    box, said = study.composition("tiny"), []
    start = (box.counts, load_set(box.force_field), box.box_edge_A)
    start = (*start, tile.liquid(box, *start))
    options = PlatformOptions(name="CPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "liquid", lambda *_: start[-1])  # packed once for all tests
        timed = speed.measure(box, spec_of(study), options, seconds=0.5, say=said.append)
    return SimpleNamespace(folder=folder, study=study, box=box, start=start, timed=timed, said=said)


@pytest.mark.slow
def test_the_liquid_has_the_bottles_density_and_no_overlaps(tiny):
    _, parameters, edge_A, positions = tiny.start
    atoms = build_system(tiny.box.counts, tiny.box.roles, parameters, 0.8, edge_A).atoms
    assert len(positions) == tiny.box.n_atoms
    assert closest_contact_A(positions * 10, atoms.molecule, edge_A) > 1.4  # Li–O contacts are 1.9 Å, O–H ones 1.6
    mass_g = atoms.mass_amu.sum() / 6.02214076e23
    assert mass_g / (edge_A**3 * 1e-24) == pytest.approx(tiny.box.density_g_cm3, rel=1e-3)


def test_tiles_side_by_side_have_the_energy_of_each(tiny):
    energies = []
    for repeat in ((1, 1, 1), (1, 1, 2)):
        system, positions, box = tile.repeated(tiny.box, *tiny.start, repeat)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
        context.setPositions(positions)
        state = context.getState(energy=True, forces=True)
        assert np.allclose(state.getPeriodicBoxVectors(asNumpy=True)._value, box)
        energies.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
    # PME is good to a relative 5e-4 of the electrostatic energy, some 50 kJ/mol per ion and solvent molecule.
    assert energies[1] == pytest.approx(2 * energies[0], abs=5e-4 * 2 * 50 * sum(tiny.box.counts.values()) + 1)


@pytest.mark.slow
def test_a_large_box_is_timed_whole_where_that_is_fast_enough(tiny, monkeypatch):
    big = study_of(tiny.folder / "big", big=TINY.replace("7,", "18,"))
    piece, sizes = tile.tile(big.composition("big"), 2), []
    liquid = tile.liquid(big.composition("big"), piece[0], tiny.start[1], piece[1])
    monkeypatch.setattr(speed, "liquid", lambda *_: liquid)
    timed = lambda watch, _: sizes.append(len(watch.start[1])) or replace(HAND, n_atoms=sizes[-1])  # noqa: E731
    monkeypatch.setattr(speed, "_timed", timed)
    box, per_tile = big.composition("big"), len(liquid)
    found = speed.measure(box, spec_of(big, "big"), PlatformOptions(), seconds=1.0)
    assert (sizes, found.n_atoms) == ([per_tile], per_tile), "100 steps/s of a tile are 50 of the box"
    speed.measure(box, spec_of(big, "big"), PlatformOptions(), seconds=2.1)
    assert sizes[1:] == [per_tile, 2 * per_tile]
    assert 2 * per_tile == pytest.approx(box.n_atoms, rel=0.02)


@pytest.mark.slow
def test_runs_that_share_a_node_are_timed_at_once_each_with_its_share(tiny, monkeypatch):
    monkeypatch.setattr(speed, "liquid", lambda *_: tiny.start[-1])
    options, said = PlatformOptions(name="CPU", runs_per_device=2), []
    found = speed.measure(tiny.box, spec_of(tiny.study), options, seconds=0.5, say=said.append)
    share = max(1, cores() // 2)
    assert (found.at_once, found.units, found.share, found.gpu) == (2, share, share, False)
    assert said[-1].endswith(f"timing 2 runs of {tiny.box.n_atoms} atoms at once")
    assert f"CPU ({share} thread" in found.how
    assert f"{2 * found.steps_per_s:.3g} in all" in found.how


@pytest.mark.slow
def test_an_error_of_those_who_time_at_once_is_told_as_one_of_a_single_run_is(tiny, monkeypatch):
    monkeypatch.setattr(speed, "liquid", lambda *_: tiny.start[-1])
    said = []
    for n in (None, 2):
        with pytest.raises(LmbmdError, match="the platform OpenCL cannot be used") as error:
            options = PlatformOptions(name="OpenCL", device_index="77", runs_per_device=n)
            speed.measure(tiny.box, spec_of(tiny.study), options, seconds=0.5)
        said.append(str(error.value))
    assert said[0] == said[1]


class _Deadly:
    """Ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


@pytest.mark.slow
def test_a_process_that_is_ended_from_outside_while_several_are_timed_is_a_sentence(tiny):
    start = (*tile.repeated(tiny.box, *tiny.start, (1, 1, 1))[:2], _Deadly())
    options = PlatformOptions(name="CPU", runs_per_device=2)
    watch = timing.Stopwatch(tiny.box, spec_of(tiny.study), options, start, tiny.box.counts, 0.1)
    with pytest.raises(LmbmdError, match="ended from outside") as error:
        watch.run(lambda text: None)
    assert error.value.where == "platform:runs_per_device"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_where_gromacs_cannot_do_a_box_all_that_are_timed_at_once_fall_back(tiny, monkeypatch):
    options = PlatformOptions(runs_per_device=2)
    if timing.known(options, spec_of(tiny.study)) is not None:
        pytest.skip("there is a GPU, and no trial")
    counts = tiny.start[0]
    system, positions, box = tile.repeated(tiny.box, *tiny.start, (1, 1, 1))
    strange = openmm.XmlSerializer.clone(system)
    strange.addForce(openmm.CustomBondForce("0"))
    said = []
    watch = timing.Stopwatch(tiny.box, spec_of(tiny.study), options, (strange, positions, box), counts, 0.2)
    found = watch.run(said.append)
    assert list(found.steps_per_s) == ["OpenMM"] and len(said) == 2


def test_openmm_is_not_timed_again_where_it_won_the_trial(tmp_path, monkeypatch):
    study = study_of(tmp_path, tiny=TINY)
    monkeypatch.setattr(timing, "known", lambda *_: None)
    monkeypatch.setattr(timing.Stopwatch, "_make", lambda _: None)
    for gromacs, engine in ((4.0, "OpenMM"), (40.0, "GROMACS")):
        speeds = {"OpenMM": 10.0, "GROMACS": gromacs}
        monkeypatch.setattr(timing, "trial", lambda *_, told=speeds: told)
        start = (openmm.System(), np.zeros((500, 3)), np.eye(3))
        watch = timing.Stopwatch(study.composition("tiny"), spec_of(study), PlatformOptions(), start, {}, 1.0)
        found = speed._timed(watch, lambda text: None)
        assert (found.engine, found.steps_per_s, found.n_atoms) == (engine, speeds[engine], 500)
        assert "OpenMM" in found.how and "GROMACS" in found.how


def test_runs_that_share_a_gpu_cost_a_part_of_its_hours(tmp_path):
    study = study_of(tmp_path, PROTOCOL % (10, ""), tiny=TINY)
    four = Speed(100.0, 1000, "a GPU", 1, True, "by hand", at_once=4)
    alone, shared = cost.cost_of(study, "tiny", replace(four, at_once=1)), cost.cost_of(study, "tiny", four)
    assert shared.run_h == alone.run_h
    assert shared.hours == pytest.approx(tuple(h / 4 for h in alone.hours))
    text = " ".join(forecast.estimate_text(forecast.estimate(study, speed=four)).split())
    assert "0.25 GPU per run" in text and "one of 4 runs that share a GPU" in text
    assert f"together they make {4 * shared.ns_per_day:.0f} ns/day" in text


@pytest.fixture(scope="module")
def run(tiny) -> Path:
    """A real run of the same box, and its contacts."""
    folder, (_, parameters, edge_A, positions) = tiny.folder / "run", tiny.start
    folder.mkdir()
    built = build_system(tiny.box.counts, tiny.box.roles, parameters, tiny.box.ion_charge_scale, edge_A)
    box_A = np.diag([edge_A] * 3)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(built.system), encoding="utf-8")
    (folder / "start.pdb").write_text(pdb_text(built.atoms, positions * 10, box_A, built.bonds), encoding="utf-8")
    built.atoms.write(folder / "atoms.parquet")
    (folder / "spec.json").write_text(json.dumps(tiny.study.spec("tiny", "298.15", 1)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "SOFT_STEPS", ((500, 20), (1000, 20), (2000, 20)))
        patch.setattr(runner, "MINIMISE_ITERATIONS", 10)
        paths = (folder / name for name in ("spec.json", "system.xml", "start.pdb", "work", "out"))
        simulate(*paths, platform=PlatformOptions(name="CPU"), quiet=True)
    frames = read_frames(folder / "out" / "trajectory.xtc", built.atoms)
    run_contacts(frames, built.atoms, folder / "contacts.arrow", folder / "rdf.npz", tiny.study.analysis.contacts)
    return folder


@pytest.mark.slow
def test_the_speed_is_that_of_the_simulate_stage_on_the_same_box(tiny, run):
    record = json.loads((run / "out" / "run.json").read_text(encoding="utf-8"))
    # Within a factor that other programs on the same cores may cause.
    assert 0.3 < tiny.timed.ns_per_day(tiny.box.n_atoms, 4.0) / record["ns_per_day"] < 3
    assert tiny.timed.n_atoms == record["n_atoms"] == tiny.box.n_atoms
    assert (tiny.timed.units, tiny.timed.gpu) == (int(record["platform"]["properties"]["Threads"]), False)
    assert [text.split()[1] for text in tiny.said] == ["packing", "timing"]


@pytest.mark.slow
def test_disk_is_that_of_a_real_runs_files_within_20_percent(tiny, run):
    found = cost.run_disk(tiny.box, spec_of(tiny.study), cost.donor_sites(tiny.box), tiny.study.analysis)

    def size(*names: str) -> int:
        return sum((run / name).stat().st_size for name in names)

    assert found.trajectory == pytest.approx(size("out/trajectory.xtc"), rel=0.2)
    assert found.contacts == pytest.approx(size("contacts.arrow"), rel=0.2)
    assert found.logs == pytest.approx(size("out/state.csv", "out/equilibration.csv"), rel=0.2)
    rest = size("out/final.pdb", "work/checkpoint", "work/checkpoint.previous", "rdf.npz")
    assert found.rest == pytest.approx(rest, rel=0.2)
    box = size("system.xml", "start.pdb", "atoms.parquet")
    assert cost.BOX_ATOM * tiny.box.n_atoms == pytest.approx(box, rel=0.2)


def test_a_finished_run_tells_the_speed_of_others(tiny, run):
    path = run / "out" / "run.json"
    told = forecast.of_run(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert told.ns_per_day(tiny.box.n_atoms, 4.0) == pytest.approx(record["ns_per_day"])
    assert told.ns_per_day(2 * tiny.box.n_atoms, 2.0) == pytest.approx(record["ns_per_day"] / 4)
    assert told.units == tiny.timed.units


def test_a_gpu_is_told_from_a_processor():
    def report(name: str, **properties: str) -> PlatformReport:
        return PlatformReport(name, properties, ())

    assert speed.describe_device(report("CUDA", DeviceName="A,B", DeviceIndex="0,1")) == ("CUDA (A,B)", 2, True)
    pocl = speed.describe_device(report("OpenCL", DeviceName="pthread-x", DeviceIndex="0"))
    assert (pocl[1], pocl[2]) == (cores(), False)
    assert speed.describe_device(report("Reference"))[1:] == (1, False)


def test_only_the_smallest_is_timed_unless_each_is_asked_for(tmp_path, monkeypatch):
    study = study_of(tmp_path, small=TINY, big=TINY.replace("7,", "20,"))
    timed = []
    monkeypatch.setattr(forecast, "measure", lambda box, *_, **__: timed.append(box.formulation) or HAND)
    one = forecast.estimate(study)
    assert timed == ["small"]
    assert one["formulations"][1]["ns_per_day"] == pytest.approx(HAND.ns_per_day(study.composition("small").n_atoms, 4))
    forecast.estimate(study, each=True)
    assert timed == ["small", "big", "small"]
    forecast.estimate(study, speed=HAND)
    assert len(timed) == 3
    assert [c["formulation"] for c in forecast.estimate(study, ["big", "big"])["formulations"]] == ["big"]
    assert timed[3:] == ["big"]


def test_each_combining_rule_is_timed_because_their_steps_cost_differently(tmp_path, monkeypatch):
    study = study_of(tmp_path, small=TINY, big=TINY.replace("7,", "20,"), other=TINY.replace("7,", "9,"))
    timed = []
    speeds = {"small": HAND, "other": replace(HAND, steps_per_s=60.0)}
    monkeypatch.setattr(forecast, "measure", lambda box, *_, **__: timed.append(box.formulation) or speeds[timed[-1]])
    monkeypatch.setattr(forecast, "combining_rule", lambda box: "one" if box.formulation == "other" else "two")
    found = {c["formulation"]: c["ns_per_day"] for c in forecast.estimate(study)["formulations"]}
    assert sorted(timed) == ["other", "small"]
    for name, measured in (("big", HAND), ("small", HAND), ("other", speeds["other"])):
        assert found[name] == pytest.approx(measured.ns_per_day(study.composition(name).n_atoms, 4))


def test_a_given_speed_is_doubted_for_another_combining_rule(tmp_path, monkeypatch):
    study = study_of(tmp_path, one=TINY, two=TINY)
    rules = {"one": "Lorentz-Berthelot", "two": "geometric"}
    monkeypatch.setattr(forecast, "combining_rule", lambda box: rules[box.formulation])
    monkeypatch.setattr(forecast, "measure", lambda *_, **__: HAND)

    def doubted(**options) -> list[dict[str, str]]:
        return [w["cases"] for w in forecast.estimate(study, **options)["warnings"] if w["topic"] == "speed"]

    assert doubted(speed=HAND) == [{"two": "geometric"}]
    assert doubted() == doubted(each=True) == []


# ---- warnings


def warned(study, topic: str, words: str = "") -> dict[str, str] | None:
    """Cases of the one warning of a topic with these words, None if there is none."""
    found = [w for w in forecast.check(study)["warnings"] if w["topic"] == topic and words in w["text"]]
    assert len(found) <= 1
    return found[0]["cases"] if found else None


@pytest.mark.parametrize(("short_by_ns", "seen"), [(0.01, True), (0.0, False)])
def test_a_run_shorter_than_the_analysis_calls_long_enough_is_warned_of(tmp_path, short_by_ns, seen):
    study = study_of(tmp_path, PROTOCOL % (LEAST_RUN_NS - short_by_ns, ", frame_interval_ps: 1"), tiny=TINY)
    assert (warned(study, "run length") is not None) == seen
    assert forecast.check(study)["longest_residence_ns"] == (LEAST_RUN_NS - short_by_ns) / RESIDENCE_TIMES


@pytest.mark.parametrize(
    ("least", "largest", "too_small", "limits"),
    [(2.5, 1.2, True, False), (2.2, 1.2, False, True), (2.2, 1.1, False, False), (2.5, 5.0, True, False)],
)
def test_a_box_too_small_for_clusters_is_warned_of_once(tmp_path, least, largest, too_small, limits):
    cipa = f"analysis: {{cipa: {{min_box_width_nm: {least}, min_diameter_nm: 0.5, max_diameter_nm: {largest}}}}}\n"
    study = study_of(tmp_path, cipa, tiny=TINY)
    edge = study.composition("tiny").box_edge_A / 10
    assert 2.2 < edge < 2.4, "the cases are for this edge"
    case = {"tiny": f"{edge:.1f} nm"}
    assert warned(study, "box", BOX_TOO_SMALL) == (case if too_small else None)
    assert warned(study, "box", "limits the size") == (case if limits else None)


def test_the_default_thresholds_ask_for_8_to_10_nm(tmp_path):
    sizes = {f"e{e}": SOLVENT.replace("2.5", f"{e / 10}") + "salts: {LiFSI: 1 mol/kg}\n" for e in (78, 81, 101)}
    study = study_of(tmp_path, **sizes)
    assert list(warned(study, "box", BOX_TOO_SMALL)) == ["e78"]
    assert list(warned(study, "box", "limits the size")) == ["e81"]


def test_a_liquid_without_ions_needs_no_room_for_clusters(tmp_path):
    assert warned(study_of(tmp_path, dme=SOLVENT), "box") is None


@pytest.mark.parametrize(("reach", "seen"), [(11.0, False), (13.0, True)])
def test_a_box_that_the_contacts_stage_would_refuse_is_warned_of(tmp_path, reach, seen):
    study = study_of(tmp_path, f"analysis: {{search_radius_A: {reach}, rdf_radius_A: 15}}\n", dme=SOLVENT)
    assert (warned(study, "box", "refuse") is not None) == seen


@pytest.mark.parametrize("pairs", [ENOUGH_MOLECULES - 1, ENOUGH_MOLECULES, LEAST_CENTRES - 1, LEAST_CENTRES])
def test_too_few_molecules_are_warned_of_and_no_more(tmp_path, pairs):
    study = study_of(tmp_path, tiny=TINY.replace("7,", f"{pairs},"))
    few = {"tiny": f"{pairs} Li, {pairs} FSI"} if pairs < ENOUGH_MOLECULES else None
    assert warned(study, "molecules", "not significant") == few
    centres = {"tiny": f"{pairs} Li"} if ENOUGH_MOLECULES <= pairs < LEAST_CENTRES else None
    assert warned(study, "molecules", "rare shell") == centres


@pytest.mark.parametrize(("replicas", "seen"), [(LEAST_REPLICAS - 1, True), (LEAST_REPLICAS, False)])
def test_few_replicas_are_warned_of(tmp_path, replicas, seen):
    study = study_of(tmp_path, f"defaults: {{replicas: {replicas}}}\n", tiny=TINY)
    assert (warned(study, "replicas") == {"tiny": str(replicas)}) == seen


def test_what_energies_of_shells_lack_is_warned_of(tmp_path, monkeypatch):
    asked = "quantum: {dft_per_class: 1}\n"
    assert warned(study_of(tmp_path, tiny=TINY), "energies") is None
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    study = study_of(tmp_path, asked, tiny=TINY)
    assert warned(study, "energies", "tblite, which computes GFN2-xTB, is not installed here") == {}
    monkeypatch.setitem(sys.modules, "tblite.interface", SimpleNamespace(Calculator=None))
    monkeypatch.setitem(sys.modules, "pyscf", None)
    assert warned(study, "energies", "PySCF, which computes PBE0, is not installed here") == {}
    monkeypatch.setitem(sys.modules, "pyscf", SimpleNamespace(dft=None, gto=None, qmmm=None, solvent=None))
    assert warned(study, "energies") is None


def test_energies_of_a_bottle_with_chains_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", SimpleNamespace(Calculator=None))
    peo = "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PEO: {amount: 20 mol parts, units: 20}\nsize: {chains: 6}\n"
    study = study_of(tmp_path, "quantum: {}\n", tiny=TINY, peo=peo)
    assert warned(study, "energies") == {"peo": "PEO"}


def test_a_disk_without_room_is_warned_of(tmp_path):
    later = tmp_path / "not" / "yet"
    assert disk_caution(1.0, later) == []
    (caution,) = disk_caution(1e18, later)
    assert "1e+09 GB" in caution.text
    assert str(tmp_path) in caution.text
    long = study_of(tmp_path, PROTOCOL % (100_000, ", frame_interval_ps: 0.004"), tiny=TINY + "replicas: 1000\n")
    topics = [w["topic"] for w in forecast.estimate(long, speed=HAND, results=later)["warnings"]]
    assert "disk" in topics


@pytest.mark.parametrize(
    ("shared", "at_once", "said"),
    [
        (4, 1, "runs alone; in this study 4 share"),
        (1, 4, "runs 4 at once; in this study each has"),
        (4, 4, ""),
        (1, 1, ""),
    ],
)
def test_a_told_speed_of_runs_that_shared_otherwise_is_warned_of(tmp_path, shared, at_once, said):
    told = replace(HAND, at_once=at_once)
    text = PROTOCOL % (10, "") + (f"platform: {{runs_per_device: {shared}}}\n" if shared > 1 else "")
    found = forecast.estimate(study_of(tmp_path, text, tiny=TINY), speed=told, results=tmp_path)
    texts = [w["text"] for w in found["warnings"] if w["topic"] == "speed"]
    assert len(texts) == bool(said) and all(said in text for text in texts)


# ---- the command line


def test_check_prints_what_would_be_run(tmp_path, capsys):
    study_of(tmp_path, PROTOCOL % (10, ""), tiny=TINY + "temperature_K: [280, 300.5]\nreplicas: 3\n", dme=SOLVENT)
    assert main(["check", "tiny", "--study", str(tmp_path / "config.yaml")]) == 0
    text = capsys.readouterr().out
    assert "1 formulation, 6 simulations of 10 ns" in text
    row = next(line for line in text.splitlines() if line.startswith("tiny"))
    assert row.split()[5:9] == ["280", "300.5", "3", "6"]
    assert "7 Li 7 FSI" in row
    assert "warning: molecules: fewer than 10 of a species" in text
    assert "dme" not in text


def test_estimate_prints_a_table_with_units_or_pure_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "TABLE", {"a machine": HAND})
    study_of(tmp_path, PROTOCOL % (10, ""), tiny=TINY, other=TINY)
    command = ["estimate", "--study", str(tmp_path / "config.yaml"), "--table", "--results", str(tmp_path)]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "memory MB" in lines[0] and "CPU core hours" in lines[0] and "ns/day" in lines[0]
    assert [line.split()[0] for line in lines[1:3]] == ["other", "tiny"]
    assert lines[3].startswith("in all")
    assert "energies of shells" not in " ".join(lines)
    assert main([*command, "--json", "tiny"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [c["formulation"] for c in data["formulations"]] == ["tiny"]
    assert data["hours"] == data["formulations"][0]["hours"]
    assert data["jobs"]["simulate"] == data["runs"] == 1
    study_of(tmp_path, PROTOCOL % (10, "") + "quantum: {}\n", tiny=TINY)
    assert main(command) == 0
    assert "the simulations only, not the energies of shells" in " ".join(capsys.readouterr().out.split())


def test_many_formulations_of_one_warning_are_named_in_part(tmp_path, capsys):
    study_of(tmp_path, **{f"b{i:02d}": SOLVENT for i in range(11)})
    main(["check", "--study", str(tmp_path / "config.yaml")])
    text = " ".join(capsys.readouterr().out.split())
    assert "b07 (1) and 3 more." in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "tinny"], "Did you mean 'tiny'?"),
        (["estimate", "tinny"], "Did you mean 'tiny'?"),
        (["estimate", "--table", "abacus"], "no hardware 'abacus' in the table. Did you mean 'a bacus'?"),
        (["estimate", "--like", "{tmp}/absent.json"], "no record of a finished run"),
        (["estimate", "--like", "{tmp}/config.yaml"], "no record of a finished run"),
        (["estimate", "--like", "{tmp}/other.json"], "no record of a finished run"),
    ],
)
def test_a_mistake_is_one_paragraph(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr(speed, "TABLE", {"a bacus": HAND})
    study_of(tmp_path, tiny=TINY)
    (tmp_path / "other.json").write_text(
        '{"n_atoms": 5, "ns_per_day": null, "spec": {"protocol": {"timestep_fs": 4}}}', encoding="utf-8"
    )
    arguments = [a.format(tmp=tmp_path) for a in arguments]
    assert main([*arguments, "--study", str(tmp_path / "config.yaml")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", speed.TABLE)
def test_a_speed_of_the_table_is_the_one_it_tells_of(name):
    found = forecast.of_table(name)
    told = float(re.search(r"\(([\d.]+) ns/day\)", found.how)[1])
    assert found.ns_per_day(found.n_atoms, 4.0) == pytest.approx(told, rel=0.01)
    assert f"{found.n_atoms} atoms" in found.how


def test_an_empty_table_points_to_measured_speeds(monkeypatch):
    monkeypatch.setattr(speed, "TABLE", {})
    with pytest.raises(LmbmdError, match=r"no hardware has been measured .* --like"):
        forecast.of_table()


def test_a_stand_in_that_explodes_is_an_error_with_a_way_out(tiny, monkeypatch):
    def explode(*_):
        raise speed.Exploded("it is hot")

    monkeypatch.setattr(speed, "_timed", explode)
    monkeypatch.setattr(speed, "liquid", lambda *_: tiny.start[-1])
    with pytest.raises(LmbmdError, match=r"exploded \(it is hot\)\. Use --table"):
        speed.measure(tiny.box, spec_of(tiny.study), PlatformOptions())
