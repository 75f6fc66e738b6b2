"""From the bands of drawn anions to descriptors, tables and the curve: every number by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quantum_shells import banded, banded_solvent, made_up

from lmbmd.analysis.energies.bands_account import bands_account, curve
from lmbmd.analysis.families import schemas

SHARES = np.array([0.5, 0.3, 0.2, 0.0])


def test_shifts_are_means_over_anions_against_the_lowest_free_one_weighted_with_their_classes():
    account = bands_account([banded(), banded()])
    value = {(row.name, row.species): row.value for row in account.rows}
    assert value["free_band_cm", "FSI"] == 726.0  # of the lower of two
    for kind, shift in (("SSIP", 1.0), ("CIP", 20.0), ("AGG-I", 50.0)):
        assert value["band_shift_cm", f"FSI:{kind}"] == pytest.approx(shift)
    assert value["band_shift_cm", "FSI"] == pytest.approx(SHARES @ [1.0, 20.0, 50.0, 0.0])
    assert value["band_cm", "FSI"] == pytest.approx(726.0 + SHARES @ [1.0, 20.0, 50.0, 0.0])
    assert ("band_shift_cm", "FSI:AGG-II") not in value
    errors = {row.species: row.error for row in account.rows if row.name == "band_shift_cm"}
    assert errors["FSI:CIP"] == pytest.approx(4 / 5**0.5, rel=0.5)  # six of 16 to 24, in two replicas


def test_what_was_drawn_and_failed_is_counted_with_its_reason():
    table = bands_account([banded(), banded()]).tables["bands"].set_index("kind")
    assert (table.drawn["AGG-I"], table.computed["AGG-I"]) == (6, 4)
    assert table.why_not["AGG-I"] == "an ion was let go" and table.why_not["CIP"] == ""
    assert table.share["CIP"] == pytest.approx(0.3) and table.in_mode["CIP"] == pytest.approx(0.7)


def test_every_table_has_its_columns_and_weights_add_up_to_one():
    tables = bands_account([banded(), banded()]).tables
    for name, table in tables.items():
        schemas()[name].check(table)
    assert tables["bands_anions"].weight.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("shape", ["lorentzian", "gaussian"])
def test_a_line_has_its_area_its_place_and_its_width(shape):
    one = curve("FSI", [("CIP", 750.0, 0.4)], shape, 10.0)
    x, y = (one[one.kind == "all"][name].to_numpy() for name in ("wavenumber_cm", "intensity_cm"))
    wide = x[y > y.max() / 2]
    assert x[y.argmax()] == pytest.approx(750.0, abs=0.4) and np.ptp(wide) == pytest.approx(10.0, abs=1.3)
    beyond = 0.4 * (1 - 2 / np.pi * np.arctan(2 * 6.0)) if shape == "lorentzian" else 0.0  # six widths to either side
    assert np.trapezoid(y, x) == pytest.approx(0.4 - beyond, rel=0.01)


def test_the_curve_is_that_of_its_classes_together():
    found = bands_account([banded()]).tables["bands_curve"]
    parts = found[found.kind != "all"].groupby("wavenumber_cm").intensity_cm.sum()
    assert np.allclose(found[found.kind == "all"].intensity_cm, parts.to_numpy())


def test_an_anion_without_a_known_band_is_told_and_a_doubtful_mode_too():
    one = banded()
    unknown = replace(one, bands={"BOB": {"counts": [[1, 2, 3, 0]], "why_not": "no band is known of it"}})
    account = bands_account([unknown])
    assert not account.rows and "Bands of BOB were not computed: no band is known of it." in account.notes[0]["text"]
    assert not any("less than half" in note["text"] for note in bands_account([one]).notes)
    mixed = {"FSI": {**one.bands["FSI"], "shells": [dict(s) for s in one.bands["FSI"]["shells"]]}}
    mixed["FSI"]["shells"][0]["found"] = {"energy_kJ_mol": -1.0, "band_cm": 727.0, "share": 0.3}
    assert any("less than half" in note["text"] for note in bands_account([replace(one, bands=mixed)]).notes)


def test_bands_of_solvents_go_by_their_own_classes():
    account = bands_account([banded_solvent(), banded_solvent()])
    value = {(row.name, row.species): row.value for row in account.rows}
    assert value["free_band_cm", "DMC"] == 1930.0
    for kind, shift in (("free", -1.0), ("bound", -30.0), ("bridging", -70.0)):
        assert value["band_shift_cm", f"DMC:{kind}"] == pytest.approx(shift)
    assert value["band_shift_cm", "DMC"] == pytest.approx((3 * -1 + 5 * -30 - 70) / 9)
    assert value["band_shift_cm", "FSI"] == pytest.approx(SHARES @ [1.0, 20.0, 50.0, 0.0])  # as without DMC
    of_dmc = account.tables["bands"].set_index("species").loc["DMC"]
    assert list(of_dmc.kind) == ["free", "bound", "bridging"]
    assert list(of_dmc.share) == pytest.approx([3 / 9, 5 / 9, 1 / 9])
    curves = account.tables["bands_curve"]
    areas = curves[curves.species == "DMC"].groupby("kind", sort=False).intensity_cm.sum()
    assert list(areas.index) == ["all", "free", "bound", "bridging"]
    assert list(areas / areas["all"]) == pytest.approx([1, 3 / 9, 5 / 9, 1 / 9], rel=0.02)  # but for cut tails
    for name, table in account.tables.items():
        schemas()[name].check(table)


def test_a_solvent_is_no_anion_in_words_and_what_its_numbers_leave_out_is_told():
    rows = [row for row in bands_account([banded_solvent()]).rows if row.species.startswith("DMC")]
    assert len(rows) == 6 and not any("anion" in row.definition for row in rows)
    of_fsi, of_dmc = (note["text"] for note in bands_account([banded_solvent()]).notes)
    assert of_dmc.startswith("9 molecules DMC were drawn for their band and 9 computed by PBE0/def2-svp.")
    assert "Free ones are computed by themselves" in of_dmc and "computed by themselves" not in of_fsi
    assert "Of its" not in of_dmc
    assert "Of its 2 C=O those that an ion touches" in bands_account([banded_solvent(2)]).notes[1]["text"]


def test_without_bands_there_is_nothing():
    account = bands_account([made_up(np.random.default_rng(1))])
    assert not account.rows and not account.tables and not account.notes
