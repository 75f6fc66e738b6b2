"""Geometric mixing with native forces: energies by the formulae, forces, platforms, the way back, whole runs."""

import json

import numpy as np
import openmm
import pytest
import toy
from naive_box import correction, lennard_jones
from naive_energy import energies
from openmm import unit

from lmbmd.box.system import build_system
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.mixing import COMBINING_RULES, DISPERSION, GEOMETRIC, LORENTZ_BERTHELOT, mixed, unmix
from lmbmd.forcefield.parameters import load_set, read_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.simulate.engines import mechanics

COUNTS = {"Li": 3, "AN": 3, "SOL": 12}
EDGE_A, START_NM, END_NM = 21.0, 0.9, 1.0


def built(rule, counts=COUNTS, edge_A=EDGE_A):
    return build_system(counts, toy.ROLES, toy.ToySet(combining_rule=rule), 0.8, edge_A)


def positions_nm(counts=COUNTS, edge_A=EDGE_A):
    """Nearly liquid: molecules on a lattice, shaken."""
    x = toy.toy_positions(counts, edge_A) / 10
    return x + np.random.default_rng(3).normal(0, 0.004, x.shape)


def table(counts=COUNTS):
    """(σ, ε) of every atom, from the toy's own table."""
    return [(a[4], a[5]) for s, n in counts.items() for _ in range(n) for a in toy._ATOMS[s]]


def nonbonded_of(system):
    return [f for f in system.getForces() if isinstance(f, openmm.NonbondedForce)]


def uncharged(system):
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for force in nonbonded_of(system):
        for i in range(force.getNumParticles()):
            force.setParticleParameters(i, 0.0, *force.getParticleParameters(i)[1:])
        for k in range(force.getNumExceptions()):
            i, j, _, *lj = force.getExceptionParameters(k)
            force.setExceptionParameters(k, i, j, 0.0, *lj)
    return system


def evaluated(system, x, platform="Reference", only_nonbonded=False):
    """Energy, kJ/mol, and forces, kJ/mol/nm."""
    for force in system.getForces():
        force.setForceGroup(int(isinstance(force, openmm.NonbondedForce)))
    properties = {"Threads": "1"} if platform == "CPU" else {}
    context = openmm.Context(
        system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName(platform), properties
    )
    context.setPositions(x)
    state = context.getState(energy=True, forces=True, groups={1} if only_nonbonded else {0, 1})
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def exceptions(system):
    plain = lambda q: q.value_in_unit_system(unit.md_unit_system)  # noqa: E731
    force = nonbonded_of(system)[0]
    rows = (force.getExceptionParameters(k) for k in range(force.getNumExceptions()))
    return {(i, j): (plain(sigma), plain(epsilon)) for i, j, _, sigma, epsilon in rows}


@pytest.mark.parametrize("rule", COMBINING_RULES)
def test_lennard_jones_energy_and_long_range_correction_are_those_of_the_formulae(rule):
    system, x = uncharged(built(rule).system), positions_nm()
    special = exceptions(built(LORENTZ_BERTHELOT).system)
    inside = lennard_jones(rule, table(), x, EDGE_A / 10, START_NM, END_NM, special)
    outside = correction(rule, table(), (EDGE_A / 10) ** 3, START_NM, END_NM)
    whole, _ = evaluated(system, x, only_nonbonded=True)
    assert whole == pytest.approx(inside + outside, rel=2e-9)
    for force in nonbonded_of(system):
        force.setUseDispersionCorrection(False)
    bare, _ = evaluated(system, x, only_nonbonded=True)
    assert bare == pytest.approx(inside, rel=2e-9)
    assert whole - bare == pytest.approx(outside, rel=1e-8)


def test_the_rules_differ_and_coincide_where_all_sizes_are_equal(monkeypatch):
    x = positions_nm()
    one, other = (evaluated(built(rule).system, x)[0] for rule in COMBINING_RULES)
    assert abs(one - other) > 0.1
    same = {s: [(*a[:4], 0.3, *a[5:]) for a in rows] for s, rows in toy._ATOMS.items()}
    monkeypatch.setattr(toy, "_ATOMS", same)
    (one, there), (other, here) = (evaluated(built(rule).system, x) for rule in COMBINING_RULES)
    assert one == pytest.approx(other, rel=1e-8)
    assert np.abs(there - here).max() < 1e-7 * np.abs(there).max()


def test_forces_are_the_slope_of_the_energy():
    system, x, h = built(GEOMETRIC).system, positions_nm(), 1e-6
    _, forces = evaluated(system, x)
    rng = np.random.default_rng(5)
    for _ in range(4):
        direction = rng.standard_normal(x.shape)
        up, down = (evaluated(system, x + s * h * direction)[0] for s in (1, -1))
        assert (forces * direction).sum() == pytest.approx(-(up - down) / (2 * h), rel=1e-5, abs=1e-2)


def test_a_molecule_in_vacuum_mixes_within_itself_too():
    parameters = load_set("sage-clp-2.1.0")
    x = 0.1 * parameters.geometry("G3")
    naive = {rule: sum(energies(parameters.systems["G3"], x, rule).values()) for rule in COMBINING_RULES}
    assert abs(naive[GEOMETRIC] - naive[LORENTZ_BERTHELOT]) > 0.05
    for rule in COMBINING_RULES:
        assert evaluated(mixed(parameters.system("G3"), rule), x)[0] == pytest.approx(naive[rule], rel=1e-7)


def test_charges_and_1_4_pairs_are_untouched_by_the_rule():
    systems = [built(rule).system for rule in COMBINING_RULES]  # forces live no longer than their System
    plain, both = map(nonbonded_of, systems)
    assert [len(plain), len(both)] == [1, 2] and both[1].getName() == DISPERSION
    charges = [[f.getParticleParameters(i)[0]._value for i in range(f.getNumParticles())] for f in (*plain, *both)]
    assert charges[0] == charges[1] and not any(charges[2])
    rows = [[str(f.getExceptionParameters(k)) for k in range(f.getNumExceptions())] for f in (plain[0], both[0])]
    assert rows[0] == rows[1]
    for name in ("CutoffDistance", "UseSwitchingFunction", "SwitchingDistance", "UseDispersionCorrection"):
        assert getattr(both[1], f"get{name}")() == getattr(plain[0], f"get{name}")()


def test_a_box_gives_back_the_parameters_that_it_was_made_of():
    system = built(GEOMETRIC).system
    assert unmix(system) == GEOMETRIC and len(nonbonded_of(system)) == 1
    found = [nonbonded_of(system)[0].getParticleParameters(i)[1:] for i in range(system.getNumParticles())]
    assert [(s._value, e._value) for s, e in found] == table()
    assert unmix(system) == LORENTZ_BERTHELOT
    x = positions_nm()
    assert evaluated(system, x)[0] == pytest.approx(evaluated(built(LORENTZ_BERTHELOT).system, x)[0], rel=1e-9)


def test_an_atom_without_lennard_jones_stays_one(monkeypatch):
    monkeypatch.setitem(toy._ATOMS, "Li", [("Li", "Li", 6.94, 1.0, 0.0, 0.0, "")])
    system, x = built(GEOMETRIC).system, positions_nm()
    assert np.isfinite(evaluated(system, x)[0])
    unmix(system)
    assert [v._value for v in nonbonded_of(system)[0].getParticleParameters(0)] == [0.8, 0.0, 0.0]


def test_the_cpu_platform_agrees_with_reference():
    """In single precision: forces up to 1e4 kJ/mol/nm are rounded at 1e-7 of the parts that cancel in them."""
    system = built(GEOMETRIC).system
    nonbonded_of(system)[0].setPMEParameters(2.92, 27, 27, 27)
    x = positions_nm()
    (right, expected), (energy, forces) = (evaluated(system, x, p) for p in ("Reference", "CPU"))
    assert energy == pytest.approx(right, abs=0.01)
    assert np.abs(forces - expected).max() < 1e-5 * np.abs(expected).max()


# ---- what stands around it


def test_an_unknown_rule_is_refused(tmp_path):
    name = available_sets()[-1]
    text = (force_fields_folder() / name / "manifest.yaml").read_text(encoding="utf-8")
    (tmp_path / "manifest.yaml").write_text(
        text.replace("combining_rule: Lorentz-Berthelot", "combining_rule: geometrical"), encoding="utf-8"
    )
    with pytest.raises(LmbmdError, match=r"no combining rule 'geometrical'\. Did you mean 'geometric'\?"):
        read_set(tmp_path)


def test_a_set_tells_its_rule_and_the_box_follows():
    parameters = load_set("sage-clp-2.1.0")
    assert parameters.combining_rule == LORENTZ_BERTHELOT
    twin = toy.mixed_by(parameters, GEOMETRIC)
    assert unmix(build_system({"DME": 2}, {"DME": "solvent"}, twin, 0.8, 30.0).system) == GEOMETRIC


@pytest.mark.slow
def test_a_geometric_run_goes_through_every_stage(tmp_path):
    folder = toy.relaxed_run(tmp_path, combining_rule=GEOMETRIC)
    toy.simulate_here(folder)
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["n_atoms"] == 88
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    assert mechanics.cutoff_A(system) == pytest.approx(5.0) and unmix(system) == GEOMETRIC


def test_a_geometric_box_that_shrinks_below_two_cutoffs_is_an_error_about_the_box(tmp_path):
    folder = toy.relaxed_run(tmp_path, combining_rule=GEOMETRIC)
    squeezed = toy.toy_box(toy.TINY, 13.5, cutoff_nm=0.66, combining_rule=GEOMETRIC).system
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(squeezed), encoding="utf-8")
    toy.write_spec(folder, pressure_bar=10000.0)
    with pytest.raises(LmbmdError, match="less than twice the cut-off"):
        toy.simulate_here(folder)
