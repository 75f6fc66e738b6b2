"""The results of the validation as data: beside each set, added to by new runs, and all that the page is made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.parameters import load_set
from lmbmd.validation import PARTS, liquids, plan
from lmbmd.validation.plan import SET
from lmbmd.validation.report import summary
from lmbmd.validation.results import ELECTROLYTE, FILE, LIQUID, Row, as_text, compared, merged, read_rows, write_rows

ROOT = Path(__file__).parents[2]
DENSITY = Row(
    LIQUID, "DMC", "density", temperature_K=298.15, ensemble="NPT", timestep_fs=4.0, hydrogens="heavy", simulated=1.07,
    error=0.002, engine="openmm", length_ps=400.0,
)  # fmt: skip


def test_the_page_is_what_the_results_give(tmp_path):
    assert main(["validate", "report", "--table", "--out", str(tmp_path)]) == 0
    written = (tmp_path / "validation.md").read_text(encoding="utf-8")
    assert written == (ROOT / "docs" / "validation.md").read_text(encoding="utf-8"), "run lmbmd validate report --table"
    assert (tmp_path / "images" / "parity.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("name", plan.SETS)
def test_the_measured_numbers_of_the_results_are_those_of_the_reference(name):
    path = force_fields_folder() / name / FILE
    rows = read_rows(path)
    assert len(rows) >= 100 and {row.kind for row in rows} >= {"liquid", "electrolyte"}
    assert as_text(map(compared, rows)) == path.read_text(encoding="utf-8")


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [
        compared(replace(DENSITY, reliable=False)),
        compared(replace(DENSITY, name="DEC", quantity="potential_energy", simulated=-0.5)),
        compared(Row("pair", "EC", "donor_distance", "O", ensemble="vacuum", ion_charge_scale=1.0, simulated=1.9)),
    ]
    file = tmp_path / "some-set-1.0.0" / FILE
    write_rows(file, rows)
    assert as_text(read_rows(file)) == as_text(replace(row, set="some-set-1.0.0") for row in rows)
    first = read_rows(file)[0]
    assert [row.part for row in read_rows(file)] == ["training", "held out", ""][: len(rows)]
    assert (first.experiment, first.source[:8], first.trust, first.unit) == (1.06326, "ThermoML", "high", "g/cm³")
    assert first.reliable is False and np.isnan(first.ion_charge_scale)


def test_a_new_run_takes_the_place_of_one_that_is_not_longer():
    energy = replace(DENSITY, quantity="potential_energy", simulated=-9.0)
    other = replace(DENSITY, timestep_fs=2.0, hydrogens="natural")
    longer = replace(DENSITY, simulated=1.08, length_ps=401.0, engine="gromacs")
    assert merged([DENSITY, energy, other], [longer]) == [longer, other], "all rows of the run go"
    assert merged([DENSITY, energy, other], [replace(longer, length_ps=399.0)]) == [DENSITY, energy, other]
    assert merged([], [longer]) == [longer]
    unknown = replace(DENSITY, length_ps=float("nan"))
    assert merged([unknown], [longer]) == [longer], "a length that nobody kept does not win"


@pytest.mark.slow
def test_a_run_goes_into_results_and_page(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "EQUILIBRATION_PS", 0.0)
    run, out = liquids.Run("DMC"), tmp_path / "out"
    rng = np.random.default_rng(0)
    samples = rng.normal([1.05, -100.0, 0.0, 0.0, 0.0, 0.0], 0.01, size=(1200, 6))
    liquids.save(run, tmp_path / "work", "", samples)
    assert main(["validate", "report", "--work", str(tmp_path / "work"), "--out", str(out)]) == 0
    rows = read_rows(out / plan.SET / FILE)
    (ours,) = [row for row in rows if (row.name, row.quantity, row.timestep_fs) == ("DMC", "density", 4.0)]
    assert ours.simulated == pytest.approx(1.05, abs=0.002) and ours.length_ps == pytest.approx(480.0)
    assert f"| {ours.simulated:.4f} ± " in (out / "validation.md").read_text(encoding="utf-8")
    before = read_rows(force_fields_folder() / plan.SET / FILE)
    kept = [row for row in before if row.run != ours.run]
    assert as_text(row for row in rows if row.run != ours.run) == as_text(kept), "nothing else has changed"
    assert main(["validate", "report", "--work", str(tmp_path / "empty"), "--out", str(out)]) == 0
    assert as_text(read_rows(out / plan.SET / FILE)) == as_text(rows), "what --out holds is gone on with"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("kind,name", "sort,name"), "this is no table of validation results. Its columns"),
        (lambda text: text.replace("1.07", "much"), r"line 2: could not convert string to float: 'much'"),
        (lambda text: text.replace(",yes,", ",perhaps,"), r"line 2: 'perhaps' is neither yes nor no"),
    ],
)
def test_a_spoilt_table_is_refused(tmp_path, spoil, message):
    path = tmp_path / FILE
    write_rows(path, [DENSITY])
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(LmbmdError, match=message):
        try:
            read_rows(path)
        except LmbmdError as error:
            raise LmbmdError(str(error)) from error


def test_an_installed_lmbmd_does_not_change_its_own_files(tmp_path, monkeypatch, capsys):
    installed = tmp_path / "site-packages" / "lmbmd" / "_force_fields"
    installed.mkdir(parents=True)
    monkeypatch.setattr(plan, "force_fields_folder", lambda: installed)
    assert main(["validate", "report", "--table"]) == 2
    assert "Say where the results go with --out FOLDER" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("part", "said"), [("liquid", "Did you mean 'liquids'?"), ("xyzzy", f"Valid: {', '.join(sorted(PARTS))}.")]
)
def test_an_unknown_part_is_told_the_nearest_or_those_that_there_are(capsys, part, said):
    with pytest.raises(SystemExit):
        main(["validate", part])
    assert said in capsys.readouterr().err


def test_every_part_tells_its_own_options(capsys):
    for part in PARTS:
        with pytest.raises(SystemExit) as ended:
            main(["validate", part, "--help"])
        assert ended.value.code == 0
        assert f"lmbmd validate {part}" in capsys.readouterr().out


def test_the_page_begins_with_the_mean_deviation_of_each_quantity():
    """Of two training liquids off by 1 and 3 % and one held out by 5 %, and of three conductivities."""
    liquids = {"DMC": 1.01, "DME": 0.97, "EC": 1.05}
    rows = [
        replace(one, simulated=factor * one.experiment, error=0.0)
        for name, factor in liquids.items()
        for one in [compared(Row(LIQUID, name, "density", ensemble="NPT", hydrogens="heavy"))]
    ]
    rows.append(
        compared(Row(LIQUID, "PC", "self_diffusion", ensemble="NVT", hydrogens="heavy"))
    )  # too short for a number
    scale = load_set(SET).default_ion_charge_scale
    for name, factor in {"lipf6-dmc-1m": 10.0, "lipf6-dmc-2m": 0.1, "litfsi-g3": 1.0}.items():
        one = compared(Row(ELECTROLYTE, name, "conductivity", ion_charge_scale=scale))
        rows += [replace(one, simulated=factor * one.experiment), replace(one, simulated=1.0, ion_charge_scale=0.95)]
    lines = list(summary({SET: rows}))
    assert f"| density | {SET} | 3.0% (3) | 2.0% (2) | 5.0% (1) | 1.5% |" in lines
    assert f"| conductivity, log₁₀ | {SET} | 0.67 (3), order (Spearman) -0.50 | | | 0.2, order 0.9 |" in lines
    assert f"| viscosity | {SET} |  |  |  | 30% |" in lines and f"| self-diffusion | {SET} |  |  |  | 20% |" in lines
