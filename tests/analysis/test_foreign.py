"""A trajectory of another program, from its files to descriptors: the Python call and the command are the same."""

import MDAnalysis as mda
import numpy as np
import pandas as pd
import pytest
import yaml

import lmbmd
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import DESCRIPTOR_COLUMNS

EDGE_A = 40.0
SPECIES = {
    "centre": "LI",
    "species": {
        "LI": {"resname": "LI"},
        "ANI": {"resname": "ANI", "role": "anion", "sites": {"O": "O"}},
        "SOL": {"resname": "SOL", "role": "solvent", "sites": {"O": "O"}},
    },
    "cutoffs": {"ANI-O": 2.5, "SOL-O": 2.5},
}
#: Li–A–Li, a Li–A pair through the box face with a solvent on its Li, one bare Li, one free anion, one free solvent.
#: (residue name, position of its first atom); an anion and a solvent have a carbon 1.4 Å along y from their oxygen.
MOLECULES = [
    ("LI", (10, 10, 10)),
    ("LI", (14, 10, 10)),
    ("LI", (39, 20, 20)),
    ("LI", (25, 30, 30)),
    ("ANI", (12, 10, 10)),
    ("ANI", (1, 20, 20)),
    ("ANI", (30, 10, 30)),
    ("ANI", (20, 36, 10)),
    ("SOL", (37, 20, 20)),
    ("SOL", (5, 30, 30)),
]


@pytest.fixture
def files(tmp_path):
    """Topology, trajectory of four equal frames, species map."""
    lines = [f"CRYST1{EDGE_A:9.3f}{EDGE_A:9.3f}{EDGE_A:9.3f}  90.00  90.00  90.00 P 1           1"]
    for residue, (name, (x, y, z)) in enumerate(MOLECULES, start=1):
        for k, element in enumerate(["LI"] if name == "LI" else ["O", "C"]):
            place = f"{x:8.3f}{y + 1.4 * k:8.3f}{z:8.3f}"
            start = f"HETATM{len(lines):5d} {element:>2s}   {name:3s} A{residue:4d}"
            lines.append(f"{start}    {place}  1.00  0.00          {element:>2s}")
    (tmp_path / "topology.pdb").write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    universe = mda.Universe(tmp_path / "topology.pdb")
    with mda.Writer(str(tmp_path / "traj.xtc"), universe.atoms.n_atoms) as writer:
        for frame in range(4):
            universe.trajectory.ts.frame, universe.trajectory.ts.time = frame, 2.0 * frame
            writer.write(universe.atoms)
    (tmp_path / "species.yaml").write_text(yaml.safe_dump(SPECIES, sort_keys=False), encoding="utf-8")
    return tmp_path


EXACT = {
    ("anion_cn", "ANI"): 3 / 4,
    ("solvent_cn", "SOL"): 1 / 4,
    ("bare_centre_fraction", ""): 1 / 4,
    ("free_solvent_fraction", "SOL"): 1 / 2,
    ("ssip_fraction_centre", ""): 1 / 4,
    ("cip_fraction_centre", ""): 3 / 4,
    ("agg_fraction_centre", ""): 0.0,
    ("ssip_fraction_anion", ""): 1 / 2,
    ("cip_fraction_anion", ""): 1 / 4,
    ("agg_fraction_anion", ""): 1 / 4,
    ("ssip_fraction_cluster", ""): 1 / 4,
    ("cip_fraction_cluster", ""): 1 / 4,
    ("agg_fraction_cluster", ""): 1 / 2,
}


def test_three_lines_of_python_describe_a_trajectory(files):
    result = lmbmd.analyze(mda.Universe(files / "topology.pdb", files / "traj.xtc"), files / "species.yaml")
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
    called = lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), SPECIES).descriptors
    pd.testing.assert_frame_equal(pd.read_parquet(out / "descriptors.parquet"), called)
    shells = sorted(path.name for path in (out / "snapshots").glob("*.xyz"))
    assert any("ANI1" in name and "SOL1" in name for name in shells)


def test_a_shell_across_the_boundary_is_exported_whole(files):
    lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), SPECIES, out=files / "out")
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
        ({"species": {"LI": {"resname": "LI"}, "ANI": SPECIES["species"]["ANI"]}, "cutoffs": {}}, ["SOL"]),
    ],
)
def test_a_wrong_species_map_is_one_paragraph(files, capsys, change, said):
    (files / "species.yaml").write_text(yaml.safe_dump({**SPECIES, **change}), encoding="utf-8")
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
    assert code == 2 and error.startswith("lmbmd analyze: ") and "Traceback" not in error
    for words in said:
        assert words in error
    assert not (files / "out" / "described.json").exists()


def test_an_unknown_analysis_option_names_the_nearest(files):
    with pytest.raises(LmbmdError, match="search_radius_A"):
        lmbmd.analyze((files / "topology.pdb", files / "traj.xtc"), SPECIES, options={"search_radius": 4.0})
