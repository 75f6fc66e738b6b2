"""Energies of the released sets: OpenMM against a naive reading of the XML, a dimer by hand, the recipe's tables."""

import json
import math
import os
import re
from pathlib import Path

import derive
import molecules
import numpy as np
import openmm
import overrides
import pytest
import smirnoff
import yaml
from naive_energy import COULOMB, energies
from openmm import unit
from rdkit import Chem
from released import EVERY, MOLECULES

from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.mixing import mixed
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.parametrize.typed import typed_terms

NEWEST = load_set("sage-clp-2.1.0")
#: Distortions of the minimised geometry, standard deviation of each coordinate in nm: from vibration to torture.
DISTORTIONS_NM = (0.0, 0.003, 0.01, 0.02)


def _context(system):
    return openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))


def _distorted(parameters, name):
    x = 0.1 * parameters.geometry(name)
    rng = np.random.default_rng(7)
    return [x + sigma * rng.standard_normal(x.shape) for sigma in DISTORTIONS_NM]


@pytest.mark.parametrize(("parameters", "name"), EVERY)
def test_every_energy_term_equals_its_formula(parameters, name):
    system = mixed(parameters.system(name), parameters.combining_rule)
    kinds = [type(force).__name__ for force in system.getForces()]  # of geometric mixing, two are NonbondedForces
    for kind, force in zip(kinds, system.getForces(), strict=True):
        force.setForceGroup(kinds.index(kind))
    context = _context(system)
    for x in _distorted(parameters, name):
        context.setPositions(x)
        expected = energies(parameters.systems[name], x, parameters.combining_rule)
        expected["NonbondedForce"] = expected.pop("Coulomb") + expected.pop("LennardJones")
        for kind in set(kinds):
            found = context.getState(getEnergy=True, groups={kinds.index(kind)}).getPotentialEnergy()._value
            # Both sides are double precision; OpenMM's Coulomb constant differs from CODATA's by 1e-9.
            assert found == pytest.approx(expected.pop(kind), rel=1e-6, abs=1e-6)
        assert not any(expected.values()), "every naive term was compared"


@pytest.mark.parametrize(("parameters", "name"), MOLECULES)
def test_forces_are_the_slope_of_the_naive_energy(parameters, name):
    rule, h = parameters.combining_rule, 1e-6
    context = _context(mixed(parameters.system(name), rule))
    x = _distorted(parameters, name)[1]
    context.setPositions(x)
    forces = context.getState(getForces=True).getForces(asNumpy=True)._value
    rng = np.random.default_rng(3)
    for _ in range(5):  # along random directions, which mix all coordinates
        direction = rng.standard_normal(x.shape)
        up, down = (sum(energies(parameters.systems[name], x + s * h * direction, rule).values()) for s in (1, -1))
        assert (forces * direction).sum() == pytest.approx(-(up - down) / (2 * h), rel=1e-5, abs=1e-2)


def test_a_lithium_nitrate_pair_by_hand():
    """Li⁺ in the plane of NO3⁻, 2.00 Å from one oxygen on its N–O axis, charges scaled by 0.8, published numbers."""
    parameters, scale = load_set("sage-clp-2.1.0"), 0.8
    pair, nonbonded = openmm.System(), openmm.NonbondedForce()
    for name in ("Li", "NO3"):
        system = parameters.system(name)
        force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
        for i in range(system.getNumParticles()):
            pair.addParticle(system.getParticleMass(i))
            q, sigma, epsilon = force.getParticleParameters(i)
            nonbonded.addParticle(scale * q, sigma, epsilon)
    for i in range(1, 5):
        for j in range(i + 1, 5):
            nonbonded.addException(i, j, 0, 1, 0)
    pair.addForce(nonbonded)
    order = parameters.elements("NO3")
    n_o, apart = 0.1256, 0.2
    place = {"N": iter([(0.0, 0.0, 0.0)]), "O": iter([(n_o * c, n_o * s, 0.0) for c, s in _thirds()])}
    positions = [(n_o + apart, 0.0, 0.0)] + [next(place[e]) for e in order]
    context = _context(pair)
    context.setPositions(positions)
    found = context.getState(getEnergy=True).getPotentialEnergy()._value

    kcal = 4.184
    li = (1.0, 1.55, 0.1039884 * kcal)
    nitrogen, oxygen = (0.794, 3.15, 0.17 * kcal), (-0.598, 2.86, 0.21 * kcal)
    r_N = 10 * (n_o + apart)
    r_far = 10 * math.hypot(n_o + apart + 0.5 * n_o, n_o * math.sqrt(3) / 2)
    expected = 0.0
    for (q, sigma, epsilon), r in ((oxygen, 2.0), (oxygen, r_far), (oxygen, r_far), (nitrogen, r_N)):
        mixed = (li[1] + sigma) / 2
        expected += 10 * COULOMB * scale**2 * li[0] * q / r
        expected += 4 * math.sqrt(li[2] * epsilon) * ((mixed / r) ** 12 - (mixed / r) ** 6)
    assert found == pytest.approx(expected, rel=1e-6)


def _thirds():
    return [(math.cos(a), math.sin(a)) for a in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)]


def _terms(system):
    """All terms of a System as plain sorted numbers."""
    out = {}
    for force in system.getForces():
        name = force.getName()
        if name == "NonbondedForce":
            out["particles"] = [force.getParticleParameters(i) for i in range(force.getNumParticles())]
            out["exceptions"] = [force.getExceptionParameters(i) for i in range(force.getNumExceptions())]
            continue
        kind = name.removeprefix("Harmonic").removeprefix("Periodic").removesuffix("Force")
        count, get = getattr(force, f"getNum{kind}s"), getattr(force, f"get{kind}Parameters")
        out[name] = [get(i) for i in range(count())]
    plain = lambda t: [v._value if unit.is_quantity(v) else v for v in t]  # noqa: E731
    return {name: np.array(sorted(map(plain, rows)), dtype=float) for name, rows in out.items()}


GROUPS = yaml.safe_load((force_fields_folder() / "recipes" / "groups.yaml").read_text(encoding="utf-8"))
IONS = yaml.safe_load((force_fields_folder() / "recipes" / "ions.yaml").read_text(encoding="utf-8"))["ions"]


@pytest.mark.parametrize("name", [name for name in NEWEST.species if name in IONS])
def test_released_ions_are_what_the_table_of_published_values_gives(name):
    parameters = NEWEST
    entry = IONS[name]
    graph = Chem.AddHs(Chem.MolFromSmiles(parameters.manifest["species"][name]["smiles"]))
    shape = entry.get("geometry")
    start = molecules.ideal(shape, graph, next(iter(entry["bonds"].values()))[0]) if shape else None
    terms, charges = typed_terms(graph, entry, start)
    made = _terms(molecules.system_of(molecules.Molecule(name, graph, charges, terms, geometric_14=True)))
    released = _terms(parameters.system(name))
    assert made.keys() == released.keys()
    for kind, rows in released.items():
        np.testing.assert_allclose(made[kind], rows, rtol=1e-12, err_msg=kind)


@pytest.mark.parametrize(
    "path", sorted((force_fields_folder() / "recipes" / "quantum").glob("*.json")), ids=lambda p: p.stem
)
def test_derived_ions_follow_from_their_quantum_data(path):
    quantum = json.loads(path.read_text(encoding="utf-8"))
    entry, wanted, found = derive.derive(quantum)
    for kind, digit in (("atoms", 1e-4), ("bonds", 0.2), ("angles", 0.1), ("torsions", 0.05), ("impropers", 0.05)):
        kept = IONS[path.stem].get(kind, {})
        assert entry[kind].keys() == kept.keys()
        for name, values in entry[kind].items():
            # Minimisers of different builds end within a digit or two of each other.
            assert kept[name] == pytest.approx(values, abs=digit)
    assert np.sqrt(np.mean((found / wanted - 1) ** 2)) < 0.15


#: Terms of groups.yaml that are fitted to a model compound: (section, table), and the terms.
TAKEN = {
    "BOMe3": ("groups", "B", {"B-O", "O-B-O", "B-O-C", "C-O-B-O", "O-B-O-O"}),
    "TPFPB": ("groups", "B", {"B-C", "B-C-C", "C-B-C", "B-C-C-C", "B-C-C-F", "C-B-C-C"}),
    "BOSi3": ("own", "TMSB", {"B-O", "O-B-O", "Si-O-B-O", "O-B-O-O"}),
    "TMSN3": ("own", "TMSN3", {"N-Si", "C-Si-N", "C-Si-N-N", "H-C-Si-N"}),
    "SiNSF": ("own", "TMSFNFSI", {"N-Si"}),
    "PhFBH3": ("own", "TFAB", {"B-C", "B-C-C-C", "B-C-C-F"}),
    "BMe4": ("own", "TFAB", {"C-B-C"}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_terms_of_groups_follow_from_their_model_compounds(name):
    section, table, wanted = TAKEN[name]
    path = force_fields_folder() / "recipes" / "quantum" / "models" / f"{name}.json"
    entry, _, _ = derive.derive(json.loads(path.read_text(encoding="utf-8")))
    taken = GROUPS[section][table]
    seen = set()
    for kind, digits in (
        ("bonds", (2e-4, 2.0)),
        ("angles", (0.1, 1.0)),
        ("torsions", (0.1,) * 4),
        ("impropers", (0.1,)),
    ):
        for key, values in entry[kind].items():
            plain = re.sub(r"\d", "", key)  # a model may tell atoms of one element apart
            for one in {plain, "-".join(plain.split("-")[::-1])} & wanted & set(taken.get(kind, {})):
                seen.add(one)
                for found, expected, digit in zip(values, taken[kind][one], digits, strict=True):
                    assert found == pytest.approx(expected, abs=digit), one
    assert seen == wanted


SAGE = os.environ.get("LMBMD_SAGE_OFFXML")


@pytest.mark.skipif(not SAGE, reason="LMBMD_SAGE_OFFXML does not name openff_unconstrained-2.2.1.offxml")
@pytest.mark.parametrize("name", [name for name in NEWEST.species if name not in IONS])
def test_released_molecules_are_what_the_sage_file_gives(name):
    parameters = NEWEST
    graph = Chem.AddHs(Chem.MolFromSmiles(parameters.manifest["species"][name]["smiles"]))
    released = _terms(parameters.system(name))
    terms = smirnoff.apply(Path(SAGE), graph, foreign=frozenset(molecules.foreign(graph, GROUPS)))
    molecules.add_groups(terms, graph, GROUPS, name)
    mended, refits = (
        yaml.safe_load((force_fields_folder() / "recipes" / table).read_text(encoding="utf-8"))
        for table in ("mended.yaml", "refit.yaml")
    )
    overrides.mend(terms, graph, mended)
    overrides.refit(terms, graph, refits, "dielectric" in parameters.manifest["species"][name]["charge_method"])
    charges = [q for q, _, _ in _particles(parameters.system(name))]
    made = _terms(molecules.system_of(molecules.Molecule(name, graph, charges, terms)))
    assert made.keys() == released.keys()
    for kind, rows in released.items():
        np.testing.assert_allclose(made[kind], rows, rtol=1e-12, err_msg=kind)


def _particles(system):
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    return [[v._value for v in force.getParticleParameters(i)] for i in range(system.getNumParticles())]
