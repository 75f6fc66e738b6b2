"""A molecule is found by any of its names, and shown with what a recipe needs to know of it."""

from __future__ import annotations

import pytest

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import load_library
from lmbmd.forcefield.lookup import look_up, sets_of


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["EC"], ["EC"]),
        (["ethylene carbonate"], ["EC"]),
        (["PF₆⁻"], ["PF6"]),
        (["96-49-1"], ["EC"]),
        (["fluoroethylene"], ["FEC"]),
        (["lipf6"], ["LiPF6"]),
    ],
)
def test_a_name_finds_its_molecule(words, names):
    assert [entry.name for entry in look_up(load_library(), words)][: len(names)] == names


def test_words_and_a_role_narrow_the_list():
    library = load_library()
    carbonates = {entry.name for entry in look_up(library, ["carbonate"])}
    assert {"EC", "DMC", "EMC"} <= carbonates
    assert {entry.name for entry in look_up(library, ["carbonate", "ethyl"])} < carbonates
    assert {entry.name for entry in look_up(library, [], "salt")} == set(library.salts)
    everyone = {entry.name for entry in look_up(library, [])}
    assert everyone == {*library.species, *library.salts}


def test_what_is_not_there_is_told_with_what_is_near():
    with pytest.raises(LmbmdError, match="no species or salt like 'fluorethylen carbonate'") as error:
        look_up(load_library(), ["fluorethylen carbonate"])
    assert "Did you mean 'fluoroethylene carbonate'?" in str(error.value)
    with pytest.raises(LmbmdError, match="Did you mean 'solvent'"):
        look_up(load_library(), [], "solvant")
    with pytest.raises(LmbmdError, match="lmbmd parametrize"):
        look_up(load_library(), ["zzzz"])


def test_a_set_has_a_salt_if_it_has_its_ions():
    library = load_library()
    for entry in (*library.species.values(), *library.salts.values()):
        found = sets_of(entry, {})
        assert all(name.startswith(("sage-clp-", "opls-clp-")) for name in found) and len(found) <= 2
    assert len(sets_of(library.salts["LiPF6"], {})) == 2


def test_the_command_shows_one_whole_and_several_in_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["species", "FEC"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("FEC: fluoroethylene carbonate\n") and "FEC:O_carbonyl" in text and "1.485 g/cm³" in text
    assert main(["species", "--role", "diluent"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["name", "title"] and any(line.startswith("TTE ") for line in lines)
