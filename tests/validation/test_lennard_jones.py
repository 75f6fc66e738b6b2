"""A liquid whose viscosity and self-diffusion are published, run and measured."""

import math
import shutil

import pytest

from benchmarks import lennard_jones

#: Ferrario et al., doi:10.1103/PhysRevA.44.6936 (2,048 atoms); Meier et al., doi:10.1063/1.1786579 (1,372 atoms).
VISCOSITY, DIFFUSION = 3.24, 0.0325


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_a_short_run_of_few_atoms_has_the_published_viscosity_and_self_diffusion_within_its_errors(tmp_path):
    liquid = lennard_jones.Liquid(cells=4)
    assert lennard_jones.simulate(liquid, tmp_path, 20.0, math.inf).length_ps == 20.0
    found = lennard_jones.reduced(lennard_jones.simulate(liquid, tmp_path, 1500.0, math.inf))
    viscosity, unbounded = found["viscosity"], found["self-diffusion"]
    assert viscosity.value == pytest.approx(VISCOSITY, abs=4.5 * viscosity.error) and viscosity.error < 0.3 * VISCOSITY
    # Without images both boxes are alike; ξ T / (6 π η L), all in the liquid's units.
    edge = (1372 / lennard_jones.DENSITY) ** (1 / 3)
    published = DIFFUSION + 2.837297 * lennard_jones.TEMPERATURE / (6 * math.pi * VISCOSITY * edge)
    assert unbounded.value == pytest.approx(published, abs=4.5 * unbounded.error) and unbounded.error < 0.1 * published
    assert found["self-diffusion in the box"].value < 0.95 * published, "the box is small"
