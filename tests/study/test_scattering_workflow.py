"""Scattering as a user asks for it: added to a finished study, it simulates nothing, and a change of it no contacts."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planning import planned, snakemake
from tiny_study import PROTOCOL, write_study

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.study.forecast import forecast as forecasts
from lmbmd.study.study import load_study

STUDY = f"""
study: scattering
formulations: formulations
platform: {{name: CPU, checkpoint_interval_s: 0.2}}
{PROTOCOL}
"""
POINT = Path("results", "a-dme", "298.15K")
AFTER = {"describe": 1, "report": 1, "index": 1}
ASKED = """
scattering:
  deuterated: [DME]
  measured:
  - {file: saxs.csv, radiation: xray, q_unit: 1/nm, quantity: intensity, formulation: a-dme}
"""


def curve(unit: float) -> str:
    q = np.linspace(4.0, 20.0, 40) * unit
    return "q,I\n" + "".join(f"{x:.4f},{1 + 0.2 * np.sin(x / unit):.4f}\n" for x in q)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study without scattering that has been run, and then has been asked for it."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, STUDY, "a-dme")
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    assert 'id="scattering"' not in (folder / "results" / "a-dme" / "report.html").read_text(encoding="utf-8")
    (folder / "config" / "config.yaml").write_text(STUDY + ASKED, encoding="utf-8")
    (folder / "config" / "saxs.csv").write_text(curve(1.0), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_scattering_is_added_to_a_finished_study(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    assert planned(finished) == {"scatter": 1, **AFTER}
    assert main(["why", "a-dme"]) == 0
    assert "scattering.deuterated.0" in capsys.readouterr().out
    assert forecasts.jobs(load_study("config/config.yaml"), ["a-dme"])["scatter"] == 1
    run = snakemake(finished)
    assert run.returncode == 0, run.stdout + run.stderr
    assert planned(finished) == {}
    found = pd.read_parquet(POINT / "descriptors.parquet").set_index(["name", "species"])
    assert 0 < found.value["scattering_r_factor", "X-ray saxs.csv"] < 1
    assert found.value["scattering_smallest_q_per_A", ""] == pytest.approx(2 * np.pi / 22.7, rel=0.05)
    page = (finished / "results" / "a-dme" / "report.html").read_text(encoding="utf-8")
    assert 'id="scattering"' in page and "saxs.csv" in page
    assert main(["archive", "all.zip", "--license", "CC0-1.0", "--yes"]) == 0
    names = zipfile.ZipFile("all.zip").namelist()
    wanted = {"config/saxs.csv", (POINT / "r1" / "scattering.npz").as_posix()}
    assert wanted <= set(names) | {name.partition("/")[2] for name in names}


@pytest.mark.slow
def test_a_change_of_scattering_searches_no_contacts(finished, tmp_path):
    study = Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))
    config = study / "config" / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("deuterated: [DME]", "frames: 5"), encoding="utf-8")
    assert planned(study) == {"scatter": 1, **AFTER}


@pytest.mark.parametrize(
    ("asked", "text", "message"),
    [
        ("q_unit: 1/nm", curve(0.01), r"q ends at 0\.2 1/nm.*Is q in 1/Å\?"),
        ("q_unit: 1/Å", curve(10.0), r"q ends at 200 1/Å.*Is q in 1/nm\?"),
        ("", curve(1.0), r"q_unit"),
        ("q_unit: 1/nm", "q,I\n1,2\n", r"1 rows of numbers"),
        ("q_unit: 1/nm", "q,I\n" + "1,2,3\n2,2\n" * 9, r"two, or all have three columns"),
        ("q_unit: 1/nm, formulation: b-dme", curve(1.0), r"'b-dme' is no bottle of this study"),
    ],
)
def test_a_measured_curve_that_cannot_be_compared_is_refused_before_anything_runs(tmp_path, asked, text, message):
    name = "" if "formulation" in asked else ", formulation: a-dme"
    entry = "{" + f"file: saxs.csv, radiation: xray, quantity: intensity{name}, {asked}".rstrip(", ") + "}"
    write_study(tmp_path, STUDY + f"scattering: {{measured: [{entry}]}}\n", "a-dme")
    (tmp_path / "config" / "saxs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match=f"(?s){message}"):
        load_study(tmp_path / "config" / "config.yaml")


def test_a_deuterated_species_must_be_one(tmp_path):
    write_study(tmp_path, STUDY + "scattering: {deuterated: [DMEE]}\n", "a-dme")
    with pytest.raises(LmbmdError, match=r"(?s)scattering.deuterated.*'DMEE' is no species here.*Did you mean 'DME'"):
        load_study(tmp_path / "config" / "config.yaml")
