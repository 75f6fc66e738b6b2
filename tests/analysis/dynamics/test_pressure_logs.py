"""Logs of the pressure tensor: read as they were written, or refused by name."""

import numpy as np
import pytest

from lmbmd.analysis.dynamics.segments import PRESSURE_COLUMNS, PressureSeries
from lmbmd.core.errors import LmbmdError

HEAD = ",".join(PRESSURE_COLUMNS)


def log(tmp_path, rows, head=HEAD):
    path = tmp_path / "pressure.csv"
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows), ""]), encoding="ascii")
    return path


def test_a_log_is_read_as_it_was_written(tmp_path):
    tensor = np.random.default_rng(0).normal(size=(5, 6)).round(3)
    rows = np.column_stack([0.04 * np.arange(1, 6), tensor])
    found = PressureSeries.read(log(tmp_path, rows))
    assert found.interval_ps == pytest.approx(0.04) and (found.tensor_bar == tensor).all()


ROW = [1.0] * 6


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        ([[1, *ROW], [2, *ROW]], "time,pressure", "its head is not"),
        ([[1, *ROW]], HEAD, "at least two rows"),
        ([], HEAD, "at least two rows"),
        ([[1, *ROW], [2, *ROW[:5], "nan"]], HEAD, "finite numbers"),
        ([[1, *ROW], [2, *ROW], [2.5, *ROW]], HEAD, "not at one interval"),
        ([[2, *ROW], [1, *ROW]], HEAD, "not at one interval"),
        ([[1, *ROW], [2, *ROW[:5], "x"]], HEAD, "no pressure log"),
        ([[1, *ROW], [2, *ROW[:5], 3e7]], HEAD, r"3e\+07 bar is no pressure of a liquid"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, rows, head, message):
    with pytest.raises(LmbmdError, match=message) as raised:
        PressureSeries.read(log(tmp_path, rows, head))
    assert str(tmp_path) in str(raised.value)


def test_a_log_that_is_missing_is_refused_by_name(tmp_path):
    with pytest.raises(LmbmdError, match=r"nothing\.csv"):
        PressureSeries.read(tmp_path / "nothing.csv")
