"""A box of chains is simulated as any other: it may die at any moment in either engine, and nothing is lost."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from accidents import DEAD, Accidents, simulate_with
from runs import assert_complete
from toy import NOSE_HOOVER, write_spec

from lmbmd.box.build import build_box
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation

SAGE = next(name for name in reversed(available_sets()) if name.startswith("sage-clp"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "dynamics"), [("openmm", None), ("gromacs", NOSE_HOOVER)], indirect=["engine"], ids=["run", "segment"]
)
def test_a_run_of_chains_that_dies_at_random_calls_is_whole_in_the_end(tmp_path: Path, engine, dynamics) -> None:
    bottle, folder = tmp_path / "bottle.yaml", tmp_path / "run"
    bottle.write_text(
        "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PEO: {amount: 20 mol parts, units: 20}\nsize: {chains: 5}\n",
        encoding="utf-8",
    )
    composition = compose(load_formulation(bottle), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
    build_box(composition, load_set(SAGE), ion_charge_scale=0.8, seed=5, out_dir=folder)
    (folder / "engine").write_text(engine, encoding="utf-8")
    n_frames, rng, deaths = 10, random.Random(1), 0
    write_spec(folder, production_ns=n_frames * 1e-4, pressure_bar=1.0, dynamics=dynamics)
    for process in range(8):
        last = process == 7
        accidents = Accidents(
            die_call=None if last else int(math.exp(rng.uniform(1, math.log(150)))), share=0.0, seed=1
        )
        code = simulate_with(folder, accidents, checkpoint_interval_s=0.05 if engine == "openmm" else 1.0)
        deaths += code == DEAD
        assert code in (0, DEAD)
    assert code == 0 and deaths >= 3
    assert_complete(folder, n_frames, 5 * n_frames)
