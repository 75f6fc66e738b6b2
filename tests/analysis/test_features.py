"""The feature table over the temperatures of a bottle."""

import math

import pandas as pd
import pytest

from lmbmd.analysis.features import FEATURES, features
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K as R
from lmbmd.data.described import DESCRIPTOR_COLUMNS, Described

BOX = {"force_field": "ff", "ion_charge_scale": 0.8, "recipe_sha256": "abc"}


def state(T, verdict="long enough", doubt="", **numbers):
    """A state point of "a" with these numbers, each with an error of a twentieth and 20 degrees of freedom."""
    rows = [
        (*key.split("__"), *([""] if "__" not in key else []), x, 0.05 * x, "1", 21.0, 20.0, "m", "d", *doubted(doubt))
        for key, x in numbers.items()
    ]
    note = {"topic": "convergence", "verdict": verdict, "text": verdict}
    described = pd.DataFrame(rows, columns=list(DESCRIPTOR_COLUMNS))
    return "a", T, BOX, Described(described, notes=(note,), facts={"replicas": [{"sampled_ns": 1.0}] * 3})


def doubted(kind):
    return "words" if kind else "", kind, math.nan, math.nan


def over(*states):
    table = features(states)
    assert list(table.columns) == FEATURES.names
    return table[table.temperature_K.isna()].set_index(["name", "species"])


def liquid(T, **more):
    rate = math.exp(-15.0 / (R * T))
    return state(T, self_diffusion_m2_s__Li=rate, conductivity_S_m=2 * rate, viscosity_mPa_s=3 / rate, **more)


def test_a_bottle_at_three_temperatures_has_its_activation_energies():
    rows = over(*(liquid(T) for T in (280.0, 300.0, 320.0)))
    energy = rows.xs("activation_energy_kJ_mol")
    assert dict(energy.value) == pytest.approx({"Li:diffusion": 15.0, "conductivity": 15.0, "viscosity": 15.0})
    row = energy.loc["Li:diffusion"]
    assert (row.unit, row.n_effective, row.replicas, row.verdict) == ("kJ/mol", 3.0, 9, "long enough")
    assert row.error > 0 and row.degrees_of_freedom > 3 and row.force_field == "ff" and "280, 300, 320 K" in row.method
    assert set(rows.xs("vtf_t0_K").doubt_kind) == {"few_temperatures"}


def test_one_temperature_gives_no_such_row_and_two_the_reason():
    assert over(liquid(300.0)).empty
    rows = over(liquid(280.0), liquid(300.0)).xs("activation_energy_kJ_mol")
    assert rows.value.isna().all() and set(rows.doubt_kind) == {"few_temperatures"} and set(rows.doubt_n) == {2.0}


def test_a_number_in_doubt_is_no_point_and_the_worst_verdict_of_those_used_is_told():
    states = [liquid(T) for T in (280.0, 300.0, 320.0)]
    rows = over(*states, liquid(340.0, doubt="few_samples", verdict="too short")).xs("activation_energy_kJ_mol")
    assert set(rows.n_effective) == {3.0} and set(rows.verdict) == {"long enough"}
    rows = over(*states[:2], liquid(320.0, verdict="not converged")).xs("activation_energy_kJ_mol")
    assert set(rows.verdict) == {"not converged"}


def test_without_motion_nothing_is_added():
    table = features([state(T, anion_cn=1.0) for T in (280.0, 300.0, 320.0)])
    assert table.temperature_K.notna().all() and len(table) == 6  # and the time that was sampled


def test_of_chains_their_units_are_counted_as_of_a_trajectory_that_has_no_recipe():
    from lmbmd.analysis.features import _counts

    chains = {"names": {"A": "VDF", "B": "HFP"}, "sequences": ["AABA", "AAAB"]}
    assert _counts({"counts": {"Li": 2, "P": 2}, "chains": {"P": chains}}) == {"Li": 2, "VDF": 6, "HFP": 2}
    assert _counts({"counts": {"Li": 2, "DME": 9}}) == {"Li": 2, "DME": 9} and _counts({}) == {}


def test_a_bottle_with_chains_has_its_glass_transition_and_one_without_has_none():
    def melt(T, chains=True):
        more = {"end_to_end_A__P": 30.0} if chains else {}
        name, T, box, found = state(T, **more)
        density = 1.0 / (0.85 + 2e-4 * (T - 250.0) + 4e-4 * max(T - 250.0, 0.0))
        row = ("density_g_cm3", "", density, 1e-4, "g/cm³", 21.0, 20.0, "m", "d", *doubted(""))
        rows = [*found.descriptors.itertuples(index=False, name=None), row]
        described = pd.DataFrame(rows, columns=list(DESCRIPTOR_COLUMNS))
        return name, T, box, Described(described, notes=found.notes, facts=found.facts)

    temperatures = (160.0, 190.0, 220.0, 250.0, 280.0, 310.0, 340.0, 370.0)
    row = over(*map(melt, temperatures)).xs("glass_transition_K").loc[""]
    assert row.value == pytest.approx(250.0, abs=0.5) and (row.unit, row.n_effective, row.doubt) == ("K", 8.0, "")
    assert "160, 190" in row.method and row.verdict == "long enough"
    assert set(over(*map(melt, temperatures[:5])).doubt_kind) == {"few_temperatures"}
    assert over(*(melt(T, chains=False) for T in temperatures)).empty
