"""The validation benchmark: it runs, goes on where it stopped, and forgets runs of another force field."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from lmbmd.forcefield.library import load_library


@pytest.fixture
def validation(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    sys.modules.pop("validate_force_field", None)
    module = importlib.import_module("validate_force_field")
    for name, value in (("EQUILIBRATION_PS", 0.2), ("CHUNK_PS", 0.2), ("SAMPLE_PS", 0.1)):
        monkeypatch.setattr(module, name, value)
    return module


def test_a_stopped_validation_run_goes_on_and_is_reported(validation, tmp_path, monkeypatch):
    run = validation.Run("DMC")
    assert not validation.simulate(run, tmp_path, deadline=-math.inf, production_ps=0.2)
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=0.0)
    first = validation._load(run, tmp_path)[1]
    assert len(first) == 2
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=0.2)
    state, samples = validation._load(run, tmp_path)
    assert len(samples) == 4
    np.testing.assert_array_equal(samples[:2], first)
    packed = validation.PACKED_FRACTION * load_library().species["DMC"].density_g_cm3
    assert samples[:, 0] == pytest.approx(packed, rel=0.1)

    long = np.tile(samples, (60, 1))
    long[:, 0] = 1.0740 + 0.01 * np.sin(np.arange(len(long)))
    validation._save(run, tmp_path, state, long)
    row = next(line for line in validation.report(tmp_path).splitlines() if line.startswith("| DMC"))
    assert "| 298.15 | 1.06326 | ThermoML" in row and "| 1.074" in row and "| +1.0% |" in row

    monkeypatch.setattr(validation, "ATOMS", validation.ATOMS + 1)
    assert validation._load(run, tmp_path)[0] is None, "a run of another system is not gone on with"
