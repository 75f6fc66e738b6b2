"""The command line says what is wrong in one paragraph, with an exit code and without a traceback."""

import argparse
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lmbmd.cli import verbs
from lmbmd.cli.parser import EXAMPLES, _parser, main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compose", "lifsi-dmee", "--out", "c.json"], ["'lifsi-dmee'", "Did you mean 'lifsi-dme'?"]),
        (["compose", "lifsi-dme", "--study", "nowhere.yaml", "--out", "c.json"], ["nowhere.yaml"]),
        (["spec", "lifsi-dme", "300", "1", "--out", "s.json"], ["300", "298.15"]),
        (["spec", "lifsi-dme", "298.15", "7", "--out", "s.json"], ["replica 7", "numbered from 1"]),
        (["spec", "lifsi-dme", "298.15", "x", "--out", "s.json"], ["replica 'x'", "numbered from 1"]),
        (["spec", "lifsi-dme", "298.15", "²", "--out", "s.json"], ["replica '²'", "numbered from 1"]),
        (["why", "lifsi-dme", "298.15", "1e999"], ["replica '1e999'", "numbered from 1"]),
        (["compose", "lifsi-dme", "--out", "/"], ["'/'", "the name of a file"]),
        (["compose", "lifsi-dme", "--out", ""], ["'.'", "the name of a file"]),
        (["spec", "lifsi-dme", "298.15", "1", "--out", ".."], ["'..'", "the name of a file"]),
        (["init", "x" * 5000, "lifsi-dme-1m"], ["File name too long", "Check its name"]),
        (["build", "absent.json", "--out", "b"], ["absent.json"]),
        (["build", "config/config.yaml", "--out", "b"], ["config.yaml"]),
        (["contacts", "--atoms", "a", "--trajectory", "t", "--contacts", "c", "--rdf", "r"], ["a: ", "atom table"]),
        (["check", "--study", "nowhere/config.yaml"], ["no such file", "the folder you are in"]),
        (["report", "lifsi-dme"], ["composition.json", "missing"]),
    ],
)
def test_a_mistake_is_one_paragraph(study, capsys, arguments, said):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lmbmd {arguments[0]}: ")
    for words in said:
        assert words in " ".join(error.split())
    assert not any((study / name).exists() for name in ("c.json", "s.json", "b/build.json"))


def test_a_reader_that_has_enough_ends_it_quietly(study):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        run = subprocess.run(
            [sys.executable, "-m", "lmbmd", "check"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (run.returncode, run.stderr) == (141, b"")


def test_an_unwritable_folder_is_named_and_nothing_is_left(study, capsys):
    if os.geteuid() == 0:
        target = Path("/proc/lmbmd/composition.json")  # root may write anywhere else
    else:
        (study / "locked").mkdir()
        (study / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
        target = study / "locked" / "composition.json"
    assert main(["compose", "lifsi-dme", "--out", str(target)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_missing_packmol_says_how_to_install_it(study, capsys, monkeypatch):
    assert main(["compose", "lifsi-dme", "--out", "c.json"]) == 0
    monkeypatch.setattr("lmbmd.box.packing.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(study))
    assert main(["build", "c.json", "--out", "b"]) == 2
    assert "pip install packmol" in " ".join(capsys.readouterr().err.split())
    assert not (study / "b" / "build.json").exists()


def test_the_command_starts_without_loading_engines():
    engines = ("openmm", "numba", "rdkit", "MDAnalysis", "pandas", "scipy")
    code = f"import sys; from lmbmd.cli import parser; parser._parser(); print(*set(sys.modules) & set({engines}))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout == "\n"
    )


def test_help_answers_in_half_a_second():
    """In CPU time, which is what the clock says on a machine that does nothing else."""
    with subprocess.Popen([sys.executable, "-m", "lmbmd", "--help"], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 0.5


def kinds() -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    return next(a.choices for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))


def test_without_a_verb_all_are_listed_by_what_they_are_for(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert (
        text.index("a study, from its beginning") < text.index("  status ") < text.index("stages, which the workflow")
    )
    assert all(f"\n  {name} " in text for name in kinds())


@pytest.mark.parametrize("verb", kinds())
def test_every_verb_does_something_and_every_option_has_a_text(verb):
    parser = kinds()[verb]
    assert callable(parser.get_default("run")) and (hasattr(verbs, verb) or verb == "completion")
    assert not [action.option_strings or action.dest for action in parser._actions if not action.help]
    for example in EXAMPLES.get(verb, ()):
        parser.parse_args(shlex.split(example.partition(">")[0]))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_can_complete_the_verbs(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "status" in script and "--watch" in script
    if shell == "bash" and shutil.which("bash"):
        ask = "COMP_WORDS=(lmbmd sta); COMP_CWORD=1; _shtab_lmbmd; echo ${COMPREPLY[@]}"
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, encoding="utf-8", check=True)
        assert set(done.stdout.split()) == {"start", "status"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["anlyze"], "'anlyze' is none. Did you mean 'analyze'?"),
        (["status", "--jsn"], "'--jsn' is no option. Did you mean '--json'?"),
        (["analyze", "a.pdb", "--specis=x"], "'--specis=x' is no option. Did you mean '--species'?"),
        (["completion", "bsh"], "'bsh' is none. Did you mean 'bash'?"),
    ],
)
def test_a_word_that_is_no_verb_or_option_is_told_the_nearest(words, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2 and said in capsys.readouterr().err
