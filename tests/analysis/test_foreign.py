"""A trajectory of another program, from its files to descriptors: the Python call and the command are the same."""

import MDAnalysis as mda
import numpy as np
import pandas as pd
import pytest
import yaml
from foreign_files import EXACT, EXACT_MAP, exact_box

import lmbmd
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import DESCRIPTOR_COLUMNS


@pytest.fixture
def files(tmp_path):
    return exact_box(tmp_path)


def test_three_lines_of_python_describe_a_trajectory(files):
    result = lmbmd.analyze(mda.Universe(files / "topology.pdb", files / "traj.xtc"), files / "species.yaml")
    assert result.folder is None and result.point.files == () and result.point.snapshots
    assert set(result.to_pandas().formulation) == {"traj.xtc"}
    assert tuple(result.descriptors.columns) == DESCRIPTOR_COLUMNS
    values = result.descriptors.set_index(["name", "species"])["value"]
    for key, expected in EXACT.items():
        assert values[key] == pytest.approx(expected), key


def test_the_command_writes_what_the_call_returns(files):
    out = files / "out"
    code = main(
        [
            "analyze",
            str(files / "topology.pdb"),
            str(files / "traj.xtc"),
            "--species",
            str(files / "species.yaml"),
            "--out",
            str(out),
        ]
    )
    assert code == 0
    called = lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), EXACT_MAP).descriptors
    pd.testing.assert_frame_equal(pd.read_parquet(out / "descriptors.parquet"), called)
    shells = sorted(path.name for path in (out / "snapshots").glob("*.xyz"))
    assert any("ANI1" in name and "SOL1" in name for name in shells)


def test_a_shell_across_the_boundary_is_exported_whole(files):
    lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), EXACT_MAP, out=files / "out")
    (path,) = [p for p in (files / "out" / "snapshots").glob("*.xyz") if "ANI1" in p.name and "SOL1" in p.name]
    atoms = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[2:]]
    positions = np.array([atom[1:4] for atom in atoms], float)
    assert sorted(atom[0] for atom in atoms) == ["C", "C", "Li", "O", "O"]
    assert np.linalg.norm(positions - positions[0], axis=1).max() < 4.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"centre": "NA"}, ["'NA'", "centre"]),
        ({"cutofs": {}}, ["cutofs", "cutoffs"]),
        ({"species": {"LI": {"resname": "LI"}, "ANI": EXACT_MAP["species"]["ANI"]}, "cutoffs": {}}, ["SOL"]),
    ],
)
def test_a_wrong_species_map_is_one_paragraph(files, capsys, change, said):
    (files / "species.yaml").write_text(yaml.safe_dump({**EXACT_MAP, **change}), encoding="utf-8")
    code = main(
        [
            "analyze",
            str(files / "topology.pdb"),
            str(files / "traj.xtc"),
            "--species",
            str(files / "species.yaml"),
            "--out",
            str(files / "out"),
        ]
    )
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("lmbmd analyze:") and "Traceback" not in error
    for words in said:
        assert words in error
    assert not (files / "out" / "described.json").exists()


def test_a_refusal_that_comes_late_leaves_nothing_new_and_an_earlier_analysis_as_it_was(files, capsys):
    universe = mda.Universe(files / "topology.pdb", files / "traj.xtc")
    with mda.Writer(str(files / "bad.trr"), len(universe.atoms)) as writer:
        for step in universe.trajectory:
            last = step.frame == len(universe.trajectory) - 1
            universe.atoms.positions = universe.atoms.positions + (np.nan if last else 0.0)
            writer.write(universe.atoms)
    asked = ["analyze", files / "topology.pdb", files / "traj.xtc", "--species", files / "species.yaml"]
    replicas = [*asked[:3], files / "bad.trr", "--as", "replicas", *asked[3:]]
    there = sorted(files.iterdir())
    for out in ("out", "deep/in/out"):  # the first replica has been read whole by then
        assert main([*map(str, replicas), "--out", str(files / out)]) == 2
        assert "frame" in capsys.readouterr().err
        assert [path for path in files.rglob("*") if path not in there and not path.name.startswith(".bad")] == []
    assert main([*map(str, asked), "--out", str(files / "out")]) == 0
    before = {path: path.read_bytes() for path in (files / "out").rglob("*") if path.is_file()}
    assert main([*map(str, asked[:2]), str(files / "bad.trr"), *map(str, asked[3:]), "--out", str(files / "out")]) == 2
    assert {path: path.read_bytes() for path in (files / "out").rglob("*") if path.is_file()} == before


def test_an_unknown_analysis_option_names_the_nearest(files):
    with pytest.raises(LmbmdError, match="search_radius_A"):
        lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), EXACT_MAP, options={"search_radius": 4.0})
