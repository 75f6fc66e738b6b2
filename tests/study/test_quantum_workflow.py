"""Energies of shells as a user asks for them: added to a finished study, they simulate nothing, and cannot fail it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from planning import planned, snakemake
from tiny_study import PROTOCOL, write_study

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.study.forecast import forecast as forecasts
from lmbmd.study.study import load_study

STUDY = f"""
study: energies
formulations: formulations
platform: {{name: CPU, checkpoint_interval_s: 0.2}}
{PROTOCOL}
"""
POINT = Path("results", "a-dme", "298.15K")
AFTER = {"describe": 1, "report": 1, "index": 1}


@pytest.mark.slow
def test_energies_are_added_to_a_finished_study(tmp_path, monkeypatch, capsys):
    """Without tblite as well: the page is made, and says what is missing."""
    write_study(tmp_path, STUDY, "a-dme")
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    page = tmp_path / "results" / "a-dme" / "report.html"
    assert 'id="energies"' not in page.read_text(encoding="utf-8")
    config = tmp_path / "config" / "config.yaml"
    config.write_text(STUDY + "quantum: {shells_per_class: 3}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert planned(tmp_path) == {"draw": 1, "quantum": 1, **AFTER}
    assert main(["why", "a-dme"]) == 0
    assert "quantum.shells_per_class" in capsys.readouterr().out
    assert forecasts.jobs(load_study("config/config.yaml"), ["a-dme"])["quantum"] == 1
    without = tmp_path / "without"
    (without / "tblite").mkdir(parents=True)
    (without / "tblite" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    with monkeypatch.context() as bare:
        bare.setenv("PYTHONPATH", os.pathsep.join([str(without), os.environ.get("PYTHONPATH", "")]))
        run = snakemake(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    said = page.read_text(encoding="utf-8")
    assert "tblite, which computes GFN2-xTB, is not installed" in said and "snakemake --forcerun quantum" in said
    pytest.importorskip("tblite", reason="the extra 'quantum' is not installed")
    run = snakemake(tmp_path, "--forcerun", "quantum")
    assert run.returncode == 0, run.stdout + run.stderr
    assert planned(tmp_path) == {}
    assert 'id="energies"' in page.read_text(encoding="utf-8")
    found = pd.read_parquet(POINT / "descriptors.parquet").set_index(["name", "species"])
    assert -2000 < found.value["shell_binding_kJ_mol", "Li"] < -300
    assert 50 < found.value["removal_energy_kJ_mol", "DME"] < 250
    config.write_text(STUDY + "quantum: {shells_per_class: 3, permittivity: 7.2}\n", encoding="utf-8")
    assert planned(tmp_path) == {"quantum": 1, **AFTER}  # what was drawn stays
    config.write_text(STUDY + "quantum: {shells_per_class: 3}\n", encoding="utf-8")
    assert main(["archive", "all.zip", "--license", "CC0-1.0", "--yes"]) == 0
    names = set(zipfile.ZipFile("all.zip").namelist())
    names |= {name.partition("/")[2] for name in names}
    assert {(POINT / "r1" / name).as_posix() for name in ("shells.json", "energies.json")} <= names


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("{method: orca}", r"quantum\.method.*orca.*gfn2"),
        ("{shells_per_clas: 3}", r"shells_per_clas.*shells_per_class"),
        ("{permittivity: 0.5}", r"quantum\.permittivity.*more than 1"),
        ("{bands: {method: gfn2}}", r"quantum\.bands\.method.*does not follow bands of anions.*619.*pbe0"),
        ("{bands: {width: 3}}", r"quantum\.bands.*'width'.*width_cm"),
        ("{bands: {of: [FSI, DMC]}}", r"quantum\.bands\.of.*no bottle of the study has 'DMC'.*Did you mean 'DME'"),
        ("{bands: {of: [Li]}}", r"quantum\.bands\.of.*'Li' is a cation.*Valid: DME, FSI\."),
        ("{bands: {of: []}}", r"quantum\.bands\.of.*at least 1 entries"),
        ("{basis: sto-3g}", r"quantum\.basis.*def2-svp"),
    ],
)
def test_a_wrong_option_is_refused_with_the_right_ones(tmp_path, asked, message):
    write_study(tmp_path, STUDY + f"quantum: {asked}\n", "a-dme")
    with pytest.raises(LmbmdError, match=f"(?s){message}"):
        load_study(tmp_path / "config" / "config.yaml")


def test_solvents_have_bands_only_where_they_are_named(tmp_path):
    """Nothing is drawn or computed anew where they are not; where they are, shells are drawn and computed."""
    texts = []
    for k, asked in enumerate(("{}", "{of: [DME, FSI]}", "{of: [FSI, DME]}")):
        write_study(tmp_path / str(k), STUDY + f"quantum: {{bands: {asked}}}\n", "a-dme")
        study = load_study(tmp_path / str(k) / "config" / "config.yaml")
        texts.append((study.draw_text("a-dme"), study.quantum_text()))
    (drawn, computed), (of_both, both), (in_another_order, _) = texts
    assert '"bands":3' in drawn and '"of"' not in computed and '"of":["DME","FSI"]' in both
    assert drawn != of_both == in_another_order
