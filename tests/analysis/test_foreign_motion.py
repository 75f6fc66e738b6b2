"""Motion from trajectories of other programs: several runs, what the user tells of them, and what cannot be told."""

import MDAnalysis as mda
import numpy as np
import pandas as pd
import pytest
from foreign_files import EXACT_MAP

import lmbmd
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError

EDGE_A = 30.0
NAMES = ["LI"] * 5 + ["ANI"] * 5 + ["SOL"] * 10
OPTIONS = {"compactness": {"frames": 2, "shuffles": 2, "neighbourhoods": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One topology and two runs of molecules that walk, wrapped, 120 frames of 2 ps."""
    folder, rng = tmp_path_factory.mktemp("foreign"), np.random.default_rng(0)
    place = rng.uniform(0, EDGE_A, (len(NAMES), 3))
    lines = [f"CRYST1{EDGE_A:9.3f}{EDGE_A:9.3f}{EDGE_A:9.3f}  90.00  90.00  90.00 P 1           1"]
    of_molecule, shape = [], []
    for number, name in enumerate(NAMES):
        for k, element in enumerate(["LI"] if name == "LI" else ["O", "C"]):
            x, y, z = place[number] + [0.0, 1.4 * k, 0.0]
            start = f"HETATM{len(lines):5d} {element:>2s}   {name:3s} A{number + 1:4d}"
            lines.append(f"{start}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}")
            of_molecule.append(number)
            shape.append([0.0, 1.4 * k, 0.0])
    (folder / "top.pdb").write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    universe = mda.Universe(folder / "top.pdb")
    for run in ("a", "b"):
        path = np.cumsum(rng.normal(size=(120, len(NAMES), 3)) * 0.6, axis=0)
        with mda.Writer(str(folder / f"{run}.xtc"), universe.atoms.n_atoms) as writer:
            for frame, moved in enumerate(path):
                positions = (place + moved)[of_molecule] + shape
                universe.atoms.positions = positions % EDGE_A
                universe.trajectory.ts.frame, universe.trajectory.ts.time = frame, 2.0 * frame
                writer.write(universe.atoms)
    return folder


def analyze(folder, *runs, **told):
    sources = [(folder / "top.pdb", folder / f"{run}.xtc") for run in runs]
    return lmbmd.analyze(sources if len(sources) > 1 else sources[0], EXACT_MAP, options=OPTIONS, **told)


def value(described, name, species=""):
    rows = described.descriptors.set_index(["name", "species"])
    return rows.loc[name, species]


def test_two_runs_are_replicas_and_say_together_what_each_says(folder):
    both = analyze(folder, "a", "b", temperature_K=300.0)
    assert both.tables["motion_runs"]["replica"].tolist() == [1, 2]
    assert both.tables["motion_runs"]["length_ps"].tolist() == pytest.approx([238.0, 238.0])
    # 0.6 Å along each axis in 2 ps: D = 0.36 / (2 · 2) Å²/ps, less the mean of all mass.
    row = value(both, "self_diffusion_m2_s", "SOL")
    assert abs(row["value"] - 0.09e-8) < 4 * row["error"] and row["error"] < 0.3 * row["value"]
    assert value(both, "conductivity_nernst_einstein_S_m")["value"] > 0
    assert len(both.facts["replicas"]) == 2


def test_a_run_in_two_files_is_the_run(folder, tmp_path):
    """With the same numbers to the bit; the second file writes the last five frames of the first one again."""
    universe = mda.Universe(folder / "top.pdb", folder / "a.xtc")
    for name, frames in (("1.xtc", slice(0, 55)), ("2.xtc", slice(50, None))):
        universe.atoms.write(str(tmp_path / name), frames=universe.trajectory[frames])
    source = (folder / "top.pdb", [tmp_path / "1.xtc", tmp_path / "2.xtc"])
    parts = lmbmd.analyze(source, EXACT_MAP, options=OPTIONS, temperature_K=300.0, out=tmp_path / "out")
    whole = analyze(folder, "a", temperature_K=300.0)
    pd.testing.assert_frame_equal(parts.descriptors, whole.descriptors)
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(parts.tables[name], table)
    assert parts.facts["analysed"]["runs"][0]["files"] == [str(tmp_path / "1.xtc"), str(tmp_path / "2.xtc")]
    part = analyze(folder, "a", begin_ps=20.0, end_ps=200.0, every_ps=4.0)
    read = {"frames": 46, "first_ps": 20.0, "last_ps": 200.0}
    assert {key: part.facts["analysed"]["runs"][0][key] for key in read} == read


def test_what_the_user_does_not_tell_is_not_assumed(folder):
    told = analyze(folder, "a")
    assert value(told, "conductivity_S_m")["doubt_kind"] == "no_temperature"
    assert value(told, "self_diffusion_m2_s", "SOL")["value"] > 0
    assert any(note["topic"] == "motion" and "temperature" in note["text"] for note in told.described.notes)
    damped = analyze(folder, "a", "b", temperature_K=300.0, friction_per_ps=2.0)
    assert value(damped, "self_diffusion_m2_s", "SOL")["doubt_kind"] == "damped"


def test_the_command_takes_the_same(folder, tmp_path, capsys):
    log = "time_ps,xx_bar,yy_bar,zz_bar,xy_bar,xz_bar,yz_bar\n"
    rng = np.random.default_rng(3)
    rows = [",".join([f"{0.1 * i:.2f}", *(f"{p:.1f}" for p in 300 * rng.normal(size=6))]) for i in range(1, 2001)]
    (tmp_path / "pressure.csv").write_text(log + "\n".join(rows) + "\n", encoding="ascii")
    (tmp_path / "species.yaml").write_text(
        "centre: LI\nspecies:\n  LI: {resname: LI}\n  ANI: {resname: ANI, formula: CO, role: anion, sites: {O: O}}\n"
        "  SOL: {resname: SOL, formula: CO, role: solvent, sites: {O: O}}\ncutoffs: {ANI-O: 2.5, SOL-O: 2.5}\n"
    )
    (tmp_path / "options.yaml").write_text("compactness: {frames: 2, shuffles: 2, neighbourhoods: 2}\n")
    files = [str(folder / "top.pdb"), str(folder / "a.xtc"), str(folder / "b.xtc")]
    told = ["--temperature", "300", "--pressure", str(tmp_path / "pressure.csv")] * 2
    more = ["--species", str(tmp_path / "species.yaml"), "--options", str(tmp_path / "options.yaml")]
    command = ["analyze", *files, *told, *more, "--out", str(tmp_path / "out")]
    assert main(command) == 2 and not (tmp_path / "out").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "2 trajectories" in said and "--as replicas" in said and "--as continuation" in said
    assert main([*command, "--as", "replicas"]) == 0
    found = pd.read_parquet(tmp_path / "out" / "descriptors.parquet").set_index(["name", "species"])
    # White noise of 300 bar every 0.1 ps: V / kT · 300² · 0.1 / 2 for the shears, half of that for the rest.
    assert found.loc[("viscosity_mPa_s", ""), "value"] > 0
    assert (tmp_path / "out" / "r1" / "contacts.arrow").exists() and (tmp_path / "out" / "r2" / "sample.xtc").exists()
    called = analyze(folder, "a", "b", temperature_K=300.0, pressure=[tmp_path / "pressure.csv"] * 2).descriptors
    pd.testing.assert_frame_equal(found.reset_index(), called)


def test_the_permittivity_takes_the_partial_charges_of_the_topology(folder):
    bare = value(analyze(folder, "a", temperature_K=300.0), "relative_permittivity")
    assert bare["doubt_kind"] == "no_partial_charges" and np.isnan(bare["value"])
    # Solvents that turn anew in every frame.
    universe, rng = mda.Universe(folder / "top.pdb"), np.random.default_rng(5)
    start = universe.atoms.positions.astype(float)
    turns, first = rng.normal(size=(400, len(NAMES), 3)), universe.residues[-10:].atoms[::2].indices
    turns *= 1.4 / np.linalg.norm(turns, axis=2, keepdims=True)
    frames = np.tile(start, (400, 1, 1))
    frames[:, first + 1] = frames[:, first] + turns[:, -10:]
    universe.load_new(frames.astype(np.float32), dimensions=[EDGE_A] * 3 + [90.0] * 3)
    universe.add_TopologyAttr("charges", [1.0] * 5 + [-0.5] * 10 + [-0.4, 0.4] * 10)
    timed = {**EXACT_MAP, "frame_interval_ps": 2.0}
    known = value(lmbmd.analyze(universe, timed, options=OPTIONS, temperature_K=300.0), "relative_permittivity")
    dipole_Cm, volume_m3 = 0.4 * 1.4 * 1.602176634e-29, (EDGE_A * 1e-10) ** 3
    truth = 1 + 10 * dipole_Cm**2 / (3 * 8.8541878128e-12 * volume_m3 * 1.380649e-23 * 300.0)
    assert known["value"] == pytest.approx(truth, abs=3 * known["error"]) and known["error"] < 0.1 * (truth - 1)
    told = value(lmbmd.analyze(universe, timed, options=OPTIONS), "relative_permittivity")
    assert told["doubt_kind"] == "no_temperature" and np.isnan(told["value"])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"temperature_K": 25000.0}, "temperature_K = 25000 is not within"),
        ({"temperature_K": float("nan")}, "temperature_K = nan is not within"),
        ({"temperature_K": 25.0}, "temperature_K = 25 is not within"),
        ({"temperature_K": [300.0, 300.0]}, r"temperature_K cannot be \[300\.0, 300\.0\]"),
        ({"temperature_K": True}, "temperature_K cannot be True"),
        ({"friction_per_ps": -1.0}, "friction_per_ps = -1 is not within"),
        ({"friction_per_ps": "1"}, "friction_per_ps cannot be '1'"),
        ({"pressure": ["a.csv"]}, "1 pressure logs for 2 replicas"),
        ({"pressure": ["a.csv", "b.csv"]}, r"a\.csv: this is no pressure log"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(folder, told, message):
    with pytest.raises(LmbmdError, match=message):
        analyze(folder, "a", "b", **told)


def test_runs_of_another_box_are_no_replicas(folder, tmp_path):
    universe = mda.Universe(folder / "top.pdb")
    universe.atoms[universe.atoms.resids <= 19].write(tmp_path / "top.pdb")
    sources = [(folder / "top.pdb", folder / "a.xtc"), tmp_path / "top.pdb"]
    with pytest.raises(LmbmdError, match=r"replica 2.*its atoms are others"):
        lmbmd.analyze(sources, EXACT_MAP, options=OPTIONS)


def test_frames_at_odd_times_leave_the_structure_and_say_why_there_is_no_motion(folder, tmp_path):
    universe = mda.Universe(folder / "top.pdb", folder / "a.xtc")
    with mda.Writer(str(tmp_path / "odd.xtc"), universe.atoms.n_atoms) as writer:
        for frame in (0, 1, 2, 5, 6, 20):
            universe.trajectory[frame]
            writer.write(universe.atoms)
    told = lmbmd.analyze((folder / "top.pdb", tmp_path / "odd.xtc"), EXACT_MAP, options=OPTIONS)
    (text,) = told.described.notes_on("motion")
    assert "Motion was not computed" in text and "where 2 ps were usual" in text
    names = set(told.descriptors["name"])
    assert "anion_cn" in names and "self_diffusion_m2_s" not in names


def test_a_single_frame_has_structure_and_no_motion(folder):
    told = analyze(folder, "a", end_ps=0.0)
    assert any("a single frame shows no motion" in text for text in told.described.notes_on("motion"))


def test_the_same_file_is_not_two_replicas(folder):
    with pytest.raises(LmbmdError, match=r"a\.xtc: this file is given twice"):
        analyze(folder, "a", "a")


def test_two_runs_that_both_begin_at_zero_are_no_parts_of_one(folder):
    with pytest.raises(LmbmdError, match=r"b\.xtc: it begins at 0 ps, not after .*a\.xtc.*replicas"):
        lmbmd.analyze((folder / "top.pdb", [folder / "a.xtc", folder / "b.xtc"]), EXACT_MAP, options=OPTIONS)
