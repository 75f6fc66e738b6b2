"""Small runs that nobody has begun, or that are finished, each test with a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import relaxed_run, simulate_here


@pytest.fixture(scope="session")
def start(tmp_path_factory) -> Path:
    """A small run that nobody has begun."""
    return relaxed_run(tmp_path_factory.mktemp("start") / "run")


@pytest.fixture(scope="session")
def done(start, tmp_path_factory) -> Path:
    """The same, run without disturbance."""
    folder = tmp_path_factory.mktemp("done") / "run"
    shutil.copytree(start, folder)
    simulate_here(folder)
    return folder


@pytest.fixture
def fresh(start, tmp_path) -> Path:
    return Path(shutil.copytree(start, tmp_path / "run"))


@pytest.fixture
def finished(done, tmp_path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))
