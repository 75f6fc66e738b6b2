"""A new study from the catalogue: what is written, that Snakemake runs it from there, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tiny_study import BOTTLE, write_study

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import Library, load_library
from lmbmd.forcefield.own import FOLDER, add_species
from lmbmd.literature import catalogue
from lmbmd.literature.catalogue import find_entry, load_catalogue
from lmbmd.simulate.protocol import Protocol
from lmbmd.study import init
from lmbmd.study.init import Answers
from lmbmd.study.study import load_study

ROOT = Path(__file__).parents[2]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def dry_run(study: Path, **environment: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "host"]
    done = subprocess.run(
        command, cwd=study, env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_study_is_a_few_commented_files(tmp_path, capsys):
    folder = tmp_path / "My Study"
    assert main(["init", str(folder), "lifsi-dme-1m", "lifsi-dme-tte-1-1.2-3-lhce"]) == 0
    names = ("lifsi-dme-1m", "lifsi-dme-tte-1-1.2-3-lhce")
    assert files(folder) == {
        "Snakefile",
        ".gitignore",
        "config/config.yaml",
        "profiles/default/config.yaml",
        "profiles/slurm/config.yaml",
        *(f"config/formulations/{name}.yaml" for name in names),
    }
    said = capsys.readouterr().out
    assert "2 bottles, 6 runs" in said and "snakemake" in said
    study = load_study(folder / "config" / "config.yaml")
    assert (study.name, study.names) == ("my-study", names)
    for name in names:
        wanted = find_entry(name).bottles[0]
        given = study.formulation(name)
        assert given.recipe() == {**wanted.recipe(), "ion_charge_scale": 0.7}  # the force field's, written out
        assert (given.assumptions, given.source, given.catalogue) == (wanted.assumptions, wanted.source, None)
        assert (given.replicas, given.temperatures) == (3, ("298.15",))
    assert yaml.safe_load((folder / "profiles/default/config.yaml").read_text(encoding="utf-8"))["cores"] == "all"


def test_a_folder_with_spaces_and_accents_is_one_word_to_the_shell(tmp_path, capsys):
    accents = sys.getfilesystemencoding() == "utf-8"  # no such folder where names are ASCII
    folder = tmp_path / ("première étude" if accents else "premiere etude")
    assert main(["init", str(folder), "lifsi-dme-1m"]) == 0
    assert f"cd '{folder}'\n" in capsys.readouterr().out
    assert load_study(folder / "config" / "config.yaml").name == "premiere-etude"


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="names of files are ASCII here")
def test_no_sign_of_a_folder_is_dropped_from_the_name_of_its_study(tmp_path):
    assert init.init(tmp_path / "LiFSI ½ M", Answers(()))[0].name == "lifsi-1-2-m"
    assert init.init(tmp_path / "½→M", Answers(()))[0].name == "1-2-m"


def test_every_entry_that_builds_can_start_a_study(tmp_path):
    names = [name for name, entry in load_catalogue().items() if catalogue.standing(entry).state in catalogue.RUNS]
    study, remarks = init.init(tmp_path, Answers(tuple(names)))
    bottles = {b.formulation.name for n in names for b in catalogue.standing(find_entry(n)).bottles if b.composition}
    assert set(study.names) == bottles
    assert all("left out of" in remark for remark in remarks)


@pytest.mark.slow
def test_snakemake_runs_there(tmp_path):
    init.init(tmp_path / "deep" / "study", Answers(("lifsi-dme-1m",)))
    planned = dry_run(tmp_path / "deep" / "study")
    assert "simulate" in planned and "study" in planned and "Nothing to be done" not in planned


@pytest.mark.slow
def test_snakemake_runs_there_from_an_installed_wheel(tmp_path):
    """The package and what pyproject.toml adds to its wheel, beside nothing else of the repository."""
    site = tmp_path / "site"
    shutil.copytree(ROOT / "lmbmd", site / "lmbmd", ignore=shutil.ignore_patterns("__pycache__"))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    for source, target in wheel["wheel"]["force-include"].items():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, site / target)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", "import lmbmd; print(lmbmd.__file__)"]
    where = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert Path(where.stdout.strip()).parent == site / "lmbmd"
    command = [sys.executable, "-m", "lmbmd", "init", "study", "lifsi-dme-1m"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert "simulate" in dry_run(tmp_path / "study", PYTHONPATH=str(site))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_a_folder_with_a_study_gets_what_it_lacks_and_nothing_is_overwritten(tmp_path, capsys):
    write_study(tmp_path, "study: mine\nformulations: formulations\n", "a")
    (tmp_path / ".gitignore").write_text("mine\n", encoding="utf-8")
    before = contents(tmp_path)
    assert main(["init", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"Snakefile", "profiles/default/config.yaml", "profiles/slurm/config.yaml"}
    assert "left as it was: .gitignore and config/config.yaml" in said and "1 bottle" in said
    assert main(["init", str(tmp_path)]) == 0
    assert "added: nothing" in capsys.readouterr().out and contents(tmp_path) == after


def test_bottles_of_the_catalogue_are_added_to_a_study_beside_its_own(tmp_path):
    write_study(tmp_path, "study: mine\nformulations: [bottles, one.yaml]\n")
    (tmp_path / "config" / "formulations").rename(tmp_path / "config" / "bottles")
    (tmp_path / "config" / "one.yaml").write_text(BOTTLE, encoding="utf-8")
    study, _ = init.init(tmp_path, Answers(("lifsi-dme-1m",)))
    assert study.names == ("lifsi-dme-1m", "one") and (tmp_path / "config" / "bottles" / "lifsi-dme-1m.yaml").exists()
    before = contents(tmp_path)
    with pytest.raises(LmbmdError, match="nothing is overwritten"):
        init.init(tmp_path, Answers(("lifsi-dme-4m", "lifsi-dme-1m")))
    assert contents(tmp_path) == before


def test_a_folder_of_ones_own_is_completed_also_if_a_bottle_cannot_be_composed_yet(tmp_path, monkeypatch):
    write_study(tmp_path, "study: mine\nformulations: formulations\n", "lifsi-dme")
    monkeypatch.chdir(tmp_path)
    bottle = next((tmp_path / "config" / "formulations").iterdir())
    good = bottle.read_text(encoding="utf-8")
    bottle.write_text(f"{good}\nadditives: {{VC: 0.01 wt%}}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"Added: .*Snakefile") as caught:
        init.init(Path(), Answers(()))
    assert "VC" in caught.value.what and (tmp_path / "Snakefile").is_file()
    bottle.write_text(good, encoding="utf-8")
    assert init.told(*init.init(Path(), Answers(()))).startswith("mine: 1 bottle, 1 run")


@pytest.mark.parametrize("quick", [False, True])
def test_an_entry_whose_molecule_a_set_of_ones_own_has_becomes_a_bottle_with_it(tmp_path, quick):
    """1,4-Benzoquinone is in no released set; `lmbmd parametrize` puts it beside the study's file."""
    with pytest.raises(LmbmdError, match="'litfsi-benzoquinone' cannot be simulated here: lacks parameters, BQ"):
        init.init(tmp_path, Answers(("litfsi-benzoquinone",)))
    species = {"title": "1,4-benzoquinone", "smiles": "O=C1C=CC(=O)C=C1", "formula": "C6H4O2", "charge": 0}
    species |= {"molar_mass_g_mol": 108.096, "roles": ["solvent"], "sites": {"O_carbonyl": "[OX1]~[CX3]"}}
    species |= {"density": {"g_cm3": 1.3, "T_K": 298.15, "source": "a test"}}
    texts = {"BQ.xml": "<System/>", "BQ.pdb": ""}
    add_species(tmp_path / "config" / FOLDER / "own-1.0.0", "sage-clp-2.1.0", "BQ", texts, {}, species)
    study, _ = init.init(tmp_path, Answers(("litfsi-benzoquinone",), quick=quick))
    assert study.formulation("litfsi-benzoquinone").force_field == "own-1.0.0"
    counts = study.composition("litfsi-benzoquinone").counts
    assert counts["BQ"] == 4 * counts["Li"] and (counts["Li"] < 160) == quick


def test_a_study_whose_file_is_none_stays_as_it_is(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(LmbmdError, match="holds no keys"):
        init.init(tmp_path, Answers(("lifsi-dme-1m",)))
    assert files(tmp_path) == {"config/config.yaml"}, "and nothing else is written"


def test_bottles_without_a_study_become_one(tmp_path):
    write_study(tmp_path, "", "mine")
    (tmp_path / "config" / "config.yaml").unlink()
    study, _ = init.init(tmp_path, Answers(()))
    assert study.names == ("mine",) and study.protocol == Protocol()


def test_a_new_study_without_a_name_has_an_example_to_change(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "."]) == 0
    said = capsys.readouterr().out
    assert "my-electrolyte.yaml is an example" in said and "cd " not in said
    assert load_study("config/config.yaml").names == ("my-electrolyte",)


def test_a_quick_study_is_small_short_and_says_what_it_is_worth(tmp_path, capsys):
    names = ("lifsi-dme-1m", "lifsi-dme-tte-1-1.2-3-lhce", "lifsi-dme-highdipole-lhce")
    assert main(["init", str(tmp_path), *names, "--quick"]) == 0
    assert "No number" in capsys.readouterr().out
    study = load_study(tmp_path / "config" / "config.yaml")
    assert max(composition.n_atoms for composition in study.compositions.values()) < 3000
    assert study.protocol.production_ns == 0.2 and all(len(study.replicas(name)) == 1 for name in study.names)
    assert study.protocol == load_study(ROOT / "config" / "config.yaml").protocol, "as long as the demo"
    assert "No number in it says anything" in (tmp_path / "config" / "config.yaml").read_text(encoding="utf-8")


def test_every_entry_that_builds_can_be_looked_at_quickly(tmp_path):
    names = [name for name, entry in load_catalogue().items() if catalogue.standing(entry).state in catalogue.RUNS]
    study, _ = init.init(tmp_path, Answers(tuple(names), quick=True))
    atoms = sorted(composition.n_atoms for composition in study.compositions.values())
    assert atoms[len(atoms) // 2] < 2000 and atoms[-1] < 20_000


def test_check_tells_how_to_get_a_snakefile(tmp_path, capsys):
    write_study(tmp_path, "study: mine\nformulations: formulations\n", "a")
    config = str(tmp_path / "config" / "config.yaml")
    assert main(["check", "--study", config]) == 0
    assert f"`lmbmd init {tmp_path}` adds it" in " ".join(capsys.readouterr().out.split())
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["check", "--study", config]) == 0
    assert "Snakefile" not in capsys.readouterr().out


def test_an_entry_that_another_answers_brings_that_ones_box(tmp_path):
    study, remarks = init.init(tmp_path, Answers(("generic-hce", "lifsi-dme-4m")))
    assert study.names == ("lifsi-dme-4m",)
    assert remarks == ["'generic-hce' has no box of its own: that of 'lifsi-dme-4m' answers it."]


def test_values_of_a_sweep_that_lack_parameters_are_left_out(tmp_path, monkeypatch):
    whole = load_library()
    poor = Library({n: s for n, s in whole.species.items() if n != "FB"}, whole.salts)
    monkeypatch.setattr(catalogue, "load_library", lambda: poor)
    study, remarks = init.init(tmp_path, Answers(("lifsi-dme-highdipole-lhce",)))
    assert "lifsi-dme-highdipole-lhce.tte-3mol" in study.names
    assert "lifsi-dme-highdipole-lhce.fb-3mol" not in study.names
    assert "lifsi-dme-highdipole-lhce.fb-3mol" in remarks[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["lifsi-dme-1n"], "the catalogue has no 'lifsi-dme-1n'. Did you mean 'lifsi-dme-1m'?"),
        (["crystal-garnet"], "'crystal-garnet' (Garnets: LLZO and its doped kin) is not simulated. It is a crystal."),
    ],
)
def test_what_cannot_start_a_study_is_explained(tmp_path, capsys, monkeypatch, names, said):
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))
    assert main(["init", str(tmp_path / "s"), *names]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "s").exists()


def test_an_entry_that_lacks_parameters_is_refused_with_what_it_lacks(tmp_path, monkeypatch):
    whole = load_library()
    poor = Library({n: s for n, s in whole.species.items() if n != "DME"}, whole.salts)
    monkeypatch.setattr(catalogue, "load_library", lambda: poor)
    with pytest.raises(LmbmdError, match="cannot be simulated here: lacks parameters, DME"):
        init.init(tmp_path, Answers(("lifsi-dme-1m",)))


def test_questions_are_asked_until_they_have_an_answer():
    lines = iter(["LiFSI TTE", "crystal-garnet", "nonsense", "lifsi-dme-1m", "", "20", "298.15, 333", "0", "4", ""])
    said: list[str] = []
    answers = init.ask(lambda prompt: next(lines), said.append)
    assert answers == Answers(("lifsi-dme-1m",), "[298.15, 333]", "4", Answers(()).production_ns)
    text = "\n".join(said)
    assert "  lifsi-dme-tte-3-7-1m: 1 M LiFSI in DME:TTE 3:7 by volume" in text
    assert "is not simulated" in text and "nothing found" in text and "'20' cannot be." in text and "'0'" in text


def test_no_answer_is_an_example():
    lines = iter(["", "", "", ""])
    assert init.ask(lambda prompt: next(lines), print) == Answers(())


def test_answers_become_the_study(tmp_path):
    study, _ = init.init(tmp_path, Answers(("lifsi-dme-1m",), "[280, 300]", "4", "20"))
    assert (study.temperatures("lifsi-dme-1m"), len(study.runs())) == (("280", "300"), 8)
    assert study.protocol.production_ns == 20
