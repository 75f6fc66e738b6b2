"""What a folder of results says of the motion in it."""

import json
import math

import pytest

from lmbmd.analysis.dynamics.segments import PRESSURE_COLUMNS, segment
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.protocol import Dynamics, RunSpec, Seeds


def spec(**more):
    return RunSpec(
        temperature_K=313.0, pressure_bar=1.0, seeds=Seeds(velocities=1, thermostat=2, barostat=3), **more
    ).to_dict()


def test_a_production_is_damped_by_its_thermostat(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"spec": spec(friction_per_ps=2.0)}))
    found = segment(tmp_path, 2)
    assert (found.replica, found.number, found.ensemble, found.thermostat) == (2, 0, "NPT", "langevin")
    assert (found.temperature_K, found.friction_per_ps, found.pressure) == (313.0, 2.0, None)
    assert found.contacts.path == tmp_path / "contacts.arrow"


def test_a_transport_segment_is_not(tmp_path):
    dynamics = Dynamics(ensemble="NVT", thermostat="nose-hoover", coupling_ps=2.0, pressure_interval_ps=0.04)
    (tmp_path / "run.json").write_text(json.dumps({"spec": spec(dynamics=dynamics)}))
    rows = "\n".join(f"{0.04 * i},1,2,3,4,5,6" for i in (1, 2, 3))
    (tmp_path / "pressure.csv").write_text(",".join(PRESSURE_COLUMNS) + "\n" + rows + "\n")
    found = segment(tmp_path, 1, 3)
    assert (found.number, found.ensemble, found.thermostat, found.friction_per_ps) == (3, "NVT", "nose-hoover", 0.0)
    assert found.pressure.tensor_bar.shape == (3, 6)


def test_a_segment_at_constant_energy_moved_at_the_mean_of_its_kinetic_temperature(tmp_path):
    """An energy of 7 + 30 t kJ/mol, t in ns, in ten atoms: a drift of 3 kJ/mol/ns per atom."""
    dynamics = Dynamics(ensemble="NVE", thermostat=None, coupling_ps=None, pressure_interval_ps=None)
    (tmp_path / "run.json").write_text(json.dumps({"spec": spec(dynamics=dynamics), "n_atoms": 10}))
    nominal = segment(tmp_path, 1, 1)
    assert (nominal.moved_at_K, nominal.conserved) == (313.0, None)
    head = "step,time_ps,density_g_cm3,volume_A3,potential_kJ_mol,kinetic_kJ_mol,temperature_K\n"
    rows = [f"{t},{t},1,1000,{-5 + 0.03 * t - k},{12 + k},{300 + k}\n" for t, k in ((1, 1), (2, 5), (3, -3), (4, 9))]
    (tmp_path / "state.csv").write_text(head + "".join(rows))
    found = segment(tmp_path, 1, 1)
    assert (found.moved_at_K, found.temperature_K) == (pytest.approx(303.0), 313.0)
    assert found.conserved.energy_drift_kJ_mol_ns_per_atom == pytest.approx(3.0)
    (tmp_path / "state.csv").write_text(head + rows[0] + rows[1])
    assert math.isnan(segment(tmp_path, 1, 1).conserved.energy_drift_kJ_mol_ns_per_atom), "two rows are no line"
    (tmp_path / "state.csv").write_text(head + "1,1\n")
    with pytest.raises(LmbmdError, match=r"no state log"):
        segment(tmp_path, 1, 1)


def test_without_a_record_nothing_is_known(tmp_path):
    found = segment(tmp_path, 1)
    assert math.isnan(found.temperature_K) and math.isnan(found.friction_per_ps) and found.ensemble == ""


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"spec": {"temperature_K": 300}}))
    with pytest.raises(LmbmdError, match=r"run\.json"):
        segment(tmp_path, 1)


def test_a_pressure_log_that_changed_since_the_run_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"spec": spec(), "files": {"pressure.csv": "0" * 64}}))
    (tmp_path / "pressure.csv").write_text(",".join(PRESSURE_COLUMNS) + "\n0.1,1,2,3,4,5,6\n0.2,1,2,3,4,5,6\n")
    with pytest.raises(LmbmdError, match=r"pressure\.csv.*changed or damaged"):
        segment(tmp_path, 1)
