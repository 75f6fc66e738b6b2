"""S(q) and I(q): against formulas, a slow twin, hard spheres, and g(r) of the same frames."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numba import njit
from systems import DME, FSI, LI, atom_table

from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.scattering.curves import Curves
from lmbmd.analysis.scattering.intensity_account import scattering_account
from lmbmd.analysis.scattering.lengths import form_factor, neutron_length_fm
from lmbmd.analysis.scattering.options import ScatteringOptions
from lmbmd.analysis.scattering.sums import CLASSES, Scattered, Scattering
from lmbmd.analysis.scattering.waves import modes, waves
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame

TRICLINIC = np.array([[21.0, 0.0, 0.0], [6.0, 19.0, 0.0], [-5.0, 7.0, 23.0]])
ALONE = CLASSES.index("alone")


def beads(n: int) -> AtomTable:
    """n lithium ions."""
    return AtomTable(
        species=(SpeciesInfo("Li", "cation", 1),),
        sites=(),
        species_id=np.zeros(n, np.int32),
        molecule=np.arange(n, dtype=np.int32),
        site_id=np.full(n, -1, np.int32),
        element=np.full(n, "Li", object),
        name=np.full(n, "Li", object),
        mass_amu=np.ones(n),
        charge_e=np.ones(n),
    )


def scattered(atoms, frames, classes=None, **options) -> Scattered:
    """Of frames as (positions, box), all units solvent or as told."""
    fold = Scattering(atoms, "Li", len(frames), ScatteringOptions(**options))
    for i, (positions, box) in enumerate(frames):
        fold.add(
            Frame(i, float(i), np.asarray(positions), np.asarray(box)),
            np.zeros(atoms.n_units, int) if classes is None else classes,
        )
    return fold.result()


def liquid(seed: int, box: np.ndarray):
    """Molecules whose atoms are strewn at random, with classes drawn for their ions."""
    rng = np.random.default_rng(seed)
    atoms = atom_table((LI, 6), (FSI, 5), (DME, 4))
    positions = (rng.uniform(-1, 2, (len(atoms), 3))) @ box
    ions = np.isin(atoms.unit_species, [0, 1])
    return atoms, positions, np.where(ions, rng.integers(1, 4, atoms.n_units), 0)


def naive(atoms, positions, box, weight, chosen_a, chosen_b, q_max, width):
    """Σ over bins of Re A_a A_b* / N from every pair of atoms, and the wave vectors in each bin; of one of k and −k."""
    reach = range(-9, 10)
    reciprocal = 2 * np.pi * np.linalg.inv(box).T
    total, vectors = np.zeros((2, int(np.ceil(q_max / width - 1e-9))))
    for step in itertools.product(reach, reach, reach):
        k = np.array(step) @ reciprocal
        q = np.linalg.norm(k)
        if not 0 < q < q_max:
            continue
        w = weight(q)
        phase = (positions[chosen_a][:, None] - positions[chosen_b][None]) @ k
        total[int(q / width)] += 0.5 * (w[chosen_a][:, None] * w[chosen_b][None] * np.cos(phase)).sum() / len(atoms)
        vectors[int(q / width)] += 0.5
    return total, vectors


@pytest.mark.parametrize("box", [np.diag([20.0, 22.0, 24.0]), TRICLINIC], ids=["rectangular", "triclinic"])
def test_intensities_are_those_of_every_pair_of_atoms(box):
    atoms, positions, classes = liquid(1, box)
    found = scattered(atoms, [(positions, box)], classes, q_max_per_A=1.2, q_bin_per_A=0.05, vectors_per_bin=10**6)
    of_atom = classes[atoms.unit]
    ion = {"Li": "Li1+"}
    electrons = lambda q: np.array([form_factor(ion.get(e, e), np.array(q)) for e in atoms.element])  # noqa: E731
    lengths = np.array([neutron_length_fm(e) for e in atoms.element])
    curves = Curves([found])
    where = {
        part: np.flatnonzero(
            (atoms.species_id == [s.name for s in atoms.species].index(part[0])) & (of_atom == CLASSES.index(part[1]))
        )
        for part in curves.parts
    }
    assert sum(map(len, where.values())) == len(atoms)
    for weight, of in (("xray", electrons), ("neutron", lambda q: lengths)):
        for a, b in ((0, 0), (0, 1), (1, 4), (len(where) - 1, 2)):
            chosen = [where[curves.parts[k]] for k in (a, b)]
            total, vectors = naive(atoms, positions, box, of, *chosen, 1.2, 0.05)
            assert found.vectors[0] == pytest.approx(vectors)
            assert curves.pair(weight, [a], [b])[0] == pytest.approx(total[curves.filled], rel=1e-4, abs=1e-4)


def test_the_parts_sum_to_the_total_and_a_file_keeps_all(tmp_path):
    atoms, positions, classes = liquid(2, TRICLINIC)
    one = scattered(atoms, [(positions, TRICLINIC), (positions[::-1], TRICLINIC)], classes, q_max_per_A=1.0)
    one.write(tmp_path / "scattering.npz")
    curves = Curves([Scattered.read(tmp_path / "scattering.npz")])
    for weight in ("xray", "neutron", "centres"):
        parts = [curves.part(weight, [a], [b]).value for a in curves.everything for b in curves.everything if a <= b]
        assert np.sum(parts, axis=0) == pytest.approx(curves.structure(weight).value, rel=1e-9)


def test_pairs_of_species_in_the_table_do_not_depend_on_the_order_of_species():
    rng, told = np.random.default_rng(4), []
    for order in ((LI, FSI, DME), (DME, FSI, LI)):
        atoms = atom_table(*((one, 2) for one in order))
        one = scattered(atoms, [(rng.uniform(0, 20, (len(atoms), 3)), TRICLINIC)], q_max_per_A=1.0)
        table = scattering_account(AskedScattering([one], ScatteringOptions()), "Li").tables["scattering_parts"]
        told.append(set(map(tuple, table.loc[table.kind == "species", ["first", "second"]].to_numpy())))
    assert told[0] == told[1] and ("DME", "Li") in told[0]


@pytest.mark.parametrize("weight", ["xray", "neutron", "centres"])
def test_an_ideal_gas_scatters_alike_at_all_q(weight):
    rng = np.random.default_rng(3)
    atoms = atom_table((LI, 200))
    frames = [(rng.uniform(0, 1, (200, 3)) @ (TRICLINIC * rng.normal(1, 0.02)), TRICLINIC) for _ in range(60)]
    frames = [(x, box * s) for (x, box), s in zip(frames, rng.normal(1, 0.02, 60), strict=True)]
    frames = [(rng.uniform(0, 1, (200, 3)) @ box, box) for _, box in frames]
    found = Curves([scattered(atoms, frames, q_max_per_A=2.0, vectors_per_bin=50)]).structure(weight)
    off = (found.value - 1) / found.error
    assert np.mean(off**2) == pytest.approx(1.0, abs=0.6)
    assert np.abs(found.value.mean() - 1) < 0.01


def test_a_lattice_scatters_at_its_reciprocal_vectors_only_whatever_the_box_does():
    n, frames = 5, []
    for spacing in (3.0, 3.1, 3.2):
        grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
        frames.append((grid * spacing, np.eye(3) * n * spacing))
    atoms = beads(n**3)
    fold = scattered(atoms, frames, q_max_per_A=2.2, q_bin_per_A=0.005, vectors_per_bin=10**6)
    curves = Curves([fold])
    total = curves.pair("centres", [0], [0]).sum(axis=0)
    bragg = {int(2 * np.pi / spacing / 0.005) for spacing in (3.0, 3.1, 3.2)}
    high = curves.filled[total > 1e-3]
    assert set(high) == bragg
    assert total[np.isin(curves.filled, list(bragg))] == pytest.approx(3 * n**3, rel=1e-4)  # of 6 vectors, 3 ± pairs


def test_neither_image_nor_order_nor_vectors_of_the_lattice_matter():
    atoms, positions, classes = liquid(4, TRICLINIC)
    options = {"q_max_per_A": 1.0, "q_bin_per_A": 0.05, "vectors_per_bin": 10**6}
    plain = scattered(atoms, [(positions, TRICLINIC)], classes, **options)
    rng = np.random.default_rng(0)
    moved = positions + rng.integers(-3, 4, (len(atoms), 3)) @ TRICLINIC + np.array([3.0, -2.0, 5.0])
    other = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ TRICLINIC
    turned = scattered(atoms, [(moved, other)], classes, **options)
    order = np.concatenate([rng.permutation(6), *[6 + 9 * m + np.arange(9) for m in rng.permutation(5)]])
    order = np.append(order, np.arange(len(order), len(atoms)))
    units = np.append(order[:6], np.append(6 + (order[6:51:9] - 6) // 9, np.arange(11, 15)))
    renumbered = scattered(atoms, [(positions[order], TRICLINIC)], classes[units], **options)
    for found in (turned, renumbered):
        assert found.vectors == pytest.approx(plain.vectors)
        assert found.pair == pytest.approx(plain.pair, rel=1e-3, abs=1e-3)


def test_a_doubled_box_has_the_modes_of_the_single_one_and_nothing_between():
    atoms, positions, _ = liquid(5, TRICLINIC)
    double = TRICLINIC * np.array([[2.0], [1.0], [1.0]])
    found = waves(Cell(TRICLINIC), 0.9, 0.05, 10**6, np.random.default_rng(0))
    one = modes(positions, Cell(TRICLINIC), found.steps, np.array([0, len(atoms)]))
    both = np.concatenate([positions, positions + TRICLINIC[0]])
    group = np.array([0, 2 * len(atoms)])
    assert modes(both, Cell(double), found.steps * [2, 1, 1], group) == pytest.approx(2 * one, abs=1e-3)
    assert np.abs(modes(both, Cell(double), found.steps * [2, 1, 1] + [1, 0, 0], group)).max() < 1e-3


def test_one_molecule_in_a_wide_box_scatters_as_debye_says():
    atoms = atom_table((LI, 1), (FSI, 1))
    shape = np.random.default_rng(6).uniform(-3, 3, (len(atoms), 3))
    box = np.diag([90.0, 95.0, 100.0])
    found = Curves([scattered(atoms, [(shape, box)], q_max_per_A=2.5, q_bin_per_A=0.05, vectors_per_bin=2000)])
    q, kinds = found.q_per_A, ["Li1+", *atoms.element[1:]]
    f = np.array([form_factor(kind, q) for kind in kinds])
    distance = np.linalg.norm(shape[:, None] - shape[None], axis=-1)
    debye = np.einsum("iq,jq,ijq->q", f, f, np.sinc(distance[..., None] * q / np.pi)) / (f**2).sum(axis=0)
    wide = q > 0.3
    assert found.structure("xray").value[wide] == pytest.approx(debye[wide], rel=0.06)


def test_a_bin_with_too_many_vectors_keeps_so_many_of_all_directions():
    cell, rng = Cell(np.diag([60.0, 60.0, 60.0])), np.random.default_rng(7)
    every, some = (waves(cell, 1.5, 0.05, most, rng) for most in (10**6, 150))
    assert np.bincount(some.bin).max() == 150 < np.bincount(every.bin).max()
    low = np.flatnonzero(np.bincount(every.bin) <= 150)
    assert (np.bincount(some.bin)[low] == np.bincount(every.bin)[low]).all()
    direction = (some.steps / np.linalg.norm(some.steps, axis=1)[:, None])[some.bin > 15]
    assert (direction**2).mean(axis=0) == pytest.approx(1 / 3, abs=0.02)


@njit(cache=True)
def hard_spheres(points: np.ndarray, edge: float, sweeps: int, step: float, rng: np.random.Generator) -> None:
    """Metropolis moves of spheres of diameter 1, every pair looked at."""
    n = len(points)
    for _ in range(sweeps * n):
        i = int(n * rng.random())
        new = points[i] + step * (2 * rng.random(3) - 1)
        free = True
        for j in range(n):
            if j != i:
                d2 = 0.0
                for axis in range(3):
                    d = new[axis] - points[j, axis]
                    d -= edge * np.rint(d / edge)
                    d2 += d * d
                if d2 < 1.0:
                    free = False
                    break
        if free:
            points[i] = new


@pytest.fixture(scope="module")
def spheres():
    """Hard spheres of diameter 3 Å at a packing fraction of 0.25: positions in Å and the edge."""
    n, eta, sigma = 512, 0.25, 3.0
    edge = (n * np.pi / 6 / eta) ** (1 / 3)
    points = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1).reshape(-1, 3) * edge / 8
    rng = np.random.default_rng(1)
    hard_spheres(points, edge, 200, 0.3, rng)
    frames = []
    for _ in range(60):
        hard_spheres(points, edge, 8, 0.3, rng)
        frames.append(points * sigma)
    return frames, edge * sigma, eta, sigma


def percus_yevick(q: np.ndarray, eta: float, sigma: float) -> np.ndarray:
    """S(q) of hard spheres (Wertheim, doi:10.1103/PhysRevLett.10.321), their direct correlation by quadrature."""
    a = (1 + 2 * eta) ** 2 / (1 - eta) ** 4
    b = -6 * eta * (1 + eta / 2) ** 2 / (1 - eta) ** 4
    x = np.linspace(0, 1, 4001)
    c = -(a + b * x + eta * a / 2 * x**3)
    integrand = 4 * np.pi * x**2 * c * np.sinc(q[:, None] * sigma * x / np.pi)
    density = 6 * eta / np.pi
    return 1 / (1 - density * np.trapezoid(integrand, x, axis=1))


def test_hard_spheres_scatter_as_percus_and_yevick_say(spheres):
    points, edge, eta, sigma = spheres
    found = Curves(
        [scattered(beads(len(points[0])), [(p, np.eye(3) * edge) for p in points], q_max_per_A=6.0, q_bin_per_A=0.05)]
    )
    curve = found.structure("centres")
    expected = percus_yevick(curve.q_per_A, eta, sigma)
    # The theory itself is off by a per cent or two at this packing fraction.
    assert np.abs(curve.value - expected).max() < 0.08
    assert np.abs(curve.value - expected).mean() < 0.02
    assert curve.value.max() == pytest.approx(expected.max(), abs=0.05)


def test_the_transform_of_g_of_r_is_s_of_q(spheres):
    points, edge, _, _ = spheres
    atoms = beads(len(points[0]))
    frames = [Frame(k, float(k), p.astype(np.float32), np.eye(3) * edge) for k, p in enumerate(points)]
    reach = 0.499 * edge
    _, rdf = find_contacts(frames, atoms, ContactOptions(rdf_radius_A=reach, bins_per_A=20))
    g, _ = rdf.mean(rdf.pair("Li", "Li"))
    density = len(atoms) / edge**3
    curve = Curves(
        [scattered(atoms, [(p, np.eye(3) * edge) for p in points], q_max_per_A=5.0, q_bin_per_A=0.05)]
    ).structure("centres")
    q, r = curve.q_per_A[curve.q_per_A > 1.0], rdf.r_A
    # A box of N spheres has 1 − 1/N far away, and what is beyond half of it is not seen.
    hole = (
        4
        * np.pi
        * density
        * ((r**2 * (g - 1 + 1 / len(atoms)))[None] * np.sinc(q[:, None] * r / np.pi)).sum(axis=1)
        / 20
    )
    assert np.abs(1 + hole - curve.value[curve.q_per_A > 1.0]).max() < 0.05


def test_form_factors_are_electrons_at_zero_and_lengths_change_with_deuterium():
    for kind, electrons in (("Li", 3), ("Li1+", 2), ("C", 6), ("F", 9), ("S", 16), ("Cl1-", 18)):
        assert form_factor(kind, np.zeros(1))[0] == pytest.approx(electrons, abs=0.02)
    # International Tables C (2006), table 6.1.1.1, at sin θ / λ = 0.5 1/Å
    assert form_factor("O", np.array(2 * np.pi)) == pytest.approx(2.34, abs=0.01)
    assert neutron_length_fm("H") < -3.7 < 0 < 6.6 < neutron_length_fm("D")
    with pytest.raises(LmbmdError, match="no neutron scattering length of 'Xx'"):
        neutron_length_fm("Xx")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "scattering.npz"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(LmbmdError, match="damaged"):
        Scattered.read(path)
