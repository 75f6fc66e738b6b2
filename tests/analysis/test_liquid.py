from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import systems

from lmbmd.analysis.liquid_account import liquid_account


def test_concentrations_of_a_box_follow_from_its_volume():
    """One Li, one FSI, two DME in 1 nm³ and in 2 nm³, half of the time each."""
    atoms = systems.atom_table((systems.LI, 1), (systems.FSI, 1), (systems.DME, 2))
    account = liquid_account([np.array([1000.0, 2000.0])], atoms)
    descriptors, table = account.rows, account.tables["composition"]
    rows = table.set_index(["component", "quantity"]).simulated
    litre = 1e27 / 6.02214076e23
    assert rows["Li", "molarity"] == pytest.approx(0.5 * (1 / 1000 + 1 / 2000) * litre)
    mass = atoms.mass_amu.sum()
    assert rows["", "density"] == pytest.approx(mass / 6.02214076e23 * 0.5 * (1 / 1000 + 1 / 2000) * 1e24)
    dme = atoms.mass_amu[atoms.species_id == 2].sum()
    assert rows["Li", "molality"] == pytest.approx(1000 / dme)
    assert rows["DME", "mass fraction"] == pytest.approx(dme / mass)
    assert rows["DME", "count"] == 2
    assert table.asked.isna().all()
    by_name = {(d.name, d.species): d for d in descriptors}
    assert by_name["density_g_cm3", ""].value == rows["", "density"]
    error = table.set_index(["component", "quantity"]).error["Li", "molarity"]
    assert error == pytest.approx(by_name["molarity_mol_L", "Li"].error)
    # two independent samples of 1/V: standard error = half their difference
    assert by_name["molarity_mol_L", "Li"].error == pytest.approx(0.25 * (1 / 1000 - 1 / 2000) * litre * 2)


def test_rigid_box_has_no_error_and_counts_never_have():
    atoms = systems.atom_table((systems.LI, 1), (systems.DME, 2))
    account = liquid_account([np.full(5, 1000.0)], atoms)
    descriptors, table = account.rows, account.tables["composition"]
    assert (table.error == 0).all() and (table.doubt == "").all()
    assert all(d.error == 0 and "no error" not in d.method for d in descriptors)


@dataclass
class Recipe:
    """1 mol/L of LiFSI in DME (rest), 2 wt% FEC and a ratio: rows as compose writes them."""

    asked_realised: list = field(
        default_factory=lambda: [
            SimpleNamespace(component="LiFSI", basis="mol/L of solution", asked=1.0, realised=1.1),
            SimpleNamespace(component="DME", basis="mol parts", asked=1.2, realised=1.25),
            SimpleNamespace(component="TTE", basis="volume parts", asked=3.0, realised=2.9),
            SimpleNamespace(component="FEC", basis="wt%", asked=2.0, realised=2.1),
        ]
    )

    def quantities(self, volume_A3=None):
        molarity = 1.1 if volume_A3 is None else 1000.0 / volume_A3
        return [
            ("LiFSI", "count", 10.0, "1"),
            ("LiFSI", "molarity", molarity, "mol/L"),
            ("FEC", "mass fraction", 0.021, "1"),
            ("", "density", 1.2 * molarity, "g/cm³"),
        ]


def test_asked_realised_and_simulated_stand_side_by_side():
    atoms = systems.atom_table((systems.LI, 1), (systems.DME, 2))
    table = liquid_account([np.array([1000.0, 1000.0])], atoms, Recipe()).tables["composition"]
    rows = {(r.component, r.quantity): r for r in table.itertuples()}
    salt = rows["LiFSI", "molarity"]
    assert (salt.asked, salt.realised, salt.simulated) == (1.0, 1.1, 1.0)
    assert (rows["FEC", "mass fraction"].asked, rows["FEC", "mass fraction"].simulated) == (0.02, 0.021)
    ratio = rows["DME", "mol parts"]
    assert (ratio.asked, ratio.realised, ratio.simulated) == (1.2, 1.25, 1.25)
    assert np.isnan(rows["TTE", "volume parts"].simulated)
    assert np.isnan(rows["LiFSI", "count"].asked)
