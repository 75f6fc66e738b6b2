"""A draft of a species map is a map, and says of every guess that it is one."""

import pytest
import yaml
from foreign_files import gro, lammps_data, pdb, prmtop, psf
from sheets import ION, MEOH, Sheet

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.core.yamlfile import yaml_of
from lmbmd.trajectory.frames import open_universe
from lmbmd.trajectory.mapping import matching
from lmbmd.trajectory.mapping.draft import draft
from lmbmd.trajectory.species_map import from_mapping

FILES = {"t.pdb": lambda p: pdb(p, conect=True), "t.gro": gro, "t.data": lammps_data, "t.psf": psf, "t.prmtop": prmtop}


def drafted(path):
    universe = open_universe(path)
    text = draft(universe)
    return text, matching.atom_table(universe, from_mapping(yaml_of(text, "draft")[0]))[0]


@pytest.mark.parametrize("name", FILES)
def test_a_draft_of_any_topology_is_taken_and_finds_its_molecules(tmp_path, name):
    text, atoms = drafted(FILES[name](tmp_path / name))
    found = {(atoms.count(s.name), s.role, s.charge) for s in atoms.species}
    assert found == {(3, "cation", 1), (3, "anion", -1), (2, "solvent", 0)}, text
    assert "Li" in {s.name for s in atoms.species} and "NO3" in {s.name for s in atoms.species}
    elements = {site.partition(":")[0]: set(atoms.element[atoms.site_id == k]) for k, site in enumerate(atoms.sites)}
    assert elements["NO3"] == {"O"} and len(elements) == 2
    assert "refused" not in text


@pytest.mark.parametrize("name", FILES)
def test_every_role_and_site_that_nothing_states_is_marked_as_a_guess(tmp_path, name):
    text, _ = drafted(FILES[name](tmp_path / name))
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    unmarked = [line.split(":")[0].strip() for line in lines if "# guess: " not in line]
    assert not {"role", "charge", "sites"} & set(unmarked), text
    assert [line for line in lines if "role: anion" in line and "# guess: " in line]


def test_what_is_not_in_the_library_is_told_by_its_formula_and_its_charges(tmp_path):
    """A molecule of two nitrogens and an oxygen; without charges nothing says what it is."""
    odd = ("ODD", [("N", "N1", (0, 0, 0)), ("N", "N2", (1.1, 0, 0)), ("O", "O1", (2.3, 0, 0))], [(0, 1), (1, 2)])
    sheet = Sheet(ION, ION, *[odd] * 3, MEOH)
    text = draft(open_universe(sheet.pdb(tmp_path / "top.pdb")))
    entry = yaml.safe_load(text)["species"]["ODD"]
    assert entry == {"resname": "ODD", "formula": "N2O", "role": "solvent", "sites": {"N": "N", "O": "O"}}
    assert "guess: nothing says what it is" in text
    assert "# As it stands, the map is refused: " in text and "the charges add up to +2" in text


def test_a_name_from_a_file_cannot_become_anything_but_a_name(tmp_path):
    path = gro(tmp_path / "t.gro")
    path.write_text(path.read_text("utf-8").replace("MOH  ", "}: #x"), encoding="utf-8")
    text = draft(open_universe(path))
    data = yaml_of(text, "draft")[0]
    assert set(data) == {"centre", "species"} and len(data["species"]) == 3
    assert "}: #x" in {entry.get("resname") for entry in data["species"].values()}
    assert from_mapping(data).centres == ("Li",)


def test_a_file_that_tells_no_molecules_apart_is_refused(tmp_path):
    import MDAnalysis as mda

    bare = mda.Universe.empty(6, trajectory=False)
    bare.add_TopologyAttr("names", ["LI", "O", "C", "H", "H", "H"])
    bare.add_TopologyAttr("resnames", ["X"])
    bare.add_TopologyAttr("resids", [1])
    with pytest.raises(LmbmdError, match=r"neither bonds, nor positions, nor residues"):
        draft(bare)


def test_the_command_prints_the_draft_and_says_what_is_missing_without_it(tmp_path, capsys):
    path = lammps_data(tmp_path / "t.data")
    assert main(["analyze", "--draft-map", str(path)]) == 0
    assert capsys.readouterr().out == draft(open_universe(path))
    assert main(["analyze", str(path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--species and --out is missing" in said and "--draft-map" in said
