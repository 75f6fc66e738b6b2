"""Small runs that nobody has begun, or that are finished, each test with a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import FREE, NOSE_HOOVER, relaxed_run, simulate_here

#: At constant pressure, as the production of a study is; and the segments that start from it.
KINDS = {"run": None, "segment": NOSE_HOOVER, "free": FREE}


@pytest.fixture(scope="session", params=["run", "segment"])
def start(request, tmp_path_factory) -> Path:
    """A small run of either kind that nobody has begun."""
    return relaxed_run(tmp_path_factory.mktemp("start") / "run", dynamics=KINDS[request.param])


@pytest.fixture(scope="session")
def engine(request) -> str:
    """What computes: OpenMM, or what a test is parametrised with (``runs.BOTH``)."""
    name = getattr(request, "param", "openmm")
    if name == "gromacs" and not shutil.which("gmx"):
        pytest.skip("GROMACS (gmx) is not installed")
    return name


@pytest.fixture(scope="session")
def done(start, engine, tmp_path_factory) -> Path:
    """The same, run without disturbance."""
    folder = _with(engine, start, tmp_path_factory.mktemp("done") / "run")
    simulate_here(folder)
    return folder


@pytest.fixture
def fresh(start, engine, tmp_path) -> Path:
    return _with(engine, start, tmp_path / "run")


def _with(engine: str, start: Path, folder: Path) -> Path:
    """A copy of a run that ``toy.simulate_here`` gives to an engine."""
    shutil.copytree(start, folder)
    (folder / "engine").write_text(engine, encoding="utf-8")
    return folder


@pytest.fixture
def finished(done, tmp_path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))
