"""The pre-peak as a number, its outcomes, and what constructed liquids give."""

from __future__ import annotations

from dataclasses import replace

import cluster_systems
import numpy as np
import pytest
import systems

from lmbmd.analysis.clusters.options import CipaThresholds, CompactnessOptions
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scattering.curves import Curve, Curves
from lmbmd.analysis.scattering.measured import beside, read_measured
from lmbmd.analysis.scattering.options import MeasuredCurve, ScatteringOptions
from lmbmd.analysis.scattering.peak import prepeak
from lmbmd.analysis.scattering.run import unit_classes
from lmbmd.analysis.scattering.sums import CLASSES, Scattering
from lmbmd.core.errors import LmbmdError
from lmbmd.data.frames import Frame
from lmbmd.numbers.doubt import Kind

Q = np.arange(0.15, 1.2, 0.03)


def known(shape, sigma: float, seed: int, blocks: int = 10):
    """A curve of S = shape(q) with Gaussian errors, from blocks of which each mean has the error σ √blocks."""
    rng = np.random.default_rng(seed)
    each = shape(Q) + sigma * np.sqrt(blocks) * rng.normal(size=(blocks, len(Q)))
    mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(blocks)
    return Curve(Q, mean, error), [np.delete(each, k, axis=0).mean(axis=0) for k in range(blocks)]


def lorentzian(q):
    return 0.4 + 1.2 / (1 + (9.0 * (q - 0.55)) ** 2)


def test_position_height_and_length_of_a_known_peak_and_their_errors():
    off = []
    for seed in range(60):
        found = prepeak(*known(lorentzian, 0.03, seed), 1.1)
        off.append(
            [
                (e.value - true) / e.error
                for e, true in zip((found.q_per_A, found.height, found.length_A), (0.55, 1.6, 9.0), strict=True)
            ]
        )
    off = np.array(off)
    # The window ends at the lowest points, whose noise is low: the peak comes out too wide by half an error.
    assert np.abs(off.mean(axis=0)).max() < 0.7
    # Nine degrees of freedom: 95 % within t = 2.26, were the window known. docs/theory/scattering.md has the figures.
    held = (np.abs(off) < 2.26).mean(axis=0)
    assert held[0] > 0.87 and held[1] > 0.87 and held[2] > 0.75


def test_noise_makes_no_peak():
    outcomes = [prepeak(*known(lambda q: 0.5 + 0 * q, 0.03, seed, blocks=40), 1.1).doubt.kind for seed in range(60)]
    assert outcomes.count(Kind.NO_PEAK) >= 57


def test_a_curve_that_falls_from_the_smallest_q_on_is_not_called_a_peak():
    found = prepeak(*known(lambda q: 0.3 + 3.0 / (1 + (4.0 * q) ** 2), 0.02, 1), 1.1)
    assert found.doubt.kind is Kind.BOX_CANNOT_SEE and found.doubt.at == pytest.approx(0.15)
    assert np.isnan(found.q_per_A.value) and found.length_A.value == pytest.approx(4.0, abs=4 * found.length_A.error)
    longer = prepeak(*known(lambda q: 0.3 + 30.0 / (1 + (20.0 * q) ** 2), 0.005, 2), 1.1)
    assert longer.doubt.kind is longer.why_length.kind is Kind.BOX_CANNOT_SEE


def test_a_peak_that_is_one_point_wide_has_no_width():
    found = prepeak(*known(lambda q: 0.5 + 5.0 * (np.abs(q - Q[12]) < 1e-9), 0.01, 3), 1.1)
    assert found.q_per_A.value == pytest.approx(Q[12]) and found.why_length.kind is Kind.UNRESOLVED


def test_one_block_says_nothing():
    curve = Curve(Q, lorentzian(Q), np.full(len(Q), np.nan))
    assert prepeak(curve, [], 1.1).doubt.kind is Kind.ONE_BLOCK


# ---- constructed liquids


def centres(name: str, edge_A: float, seeds) -> Curves:
    """Scattering of the centres of a constructed family, each seed a replica."""
    found = []
    for seed in seeds:
        box = cluster_systems.FAMILIES[name](edge_A, seed)
        fold = Scattering(box.atoms, "Li", 1, ScatteringOptions(q_max_per_A=1.0))
        fold.add(Frame(0, 0.0, box.points, box.box), np.zeros(box.atoms.n_units, int))
        found.append(replace(fold.result(), n_atoms=1))  # seeds differ in the number of molecules of solvent
    return Curves(found)


def test_droplets_are_seen_without_a_contact_and_that_the_box_is_too_small_for_their_pre_peak():
    low = {}
    for name in ("dilute pairs", "long chains", "small compact", "droplets"):
        curves = centres(name, 80.5, range(4))
        curve = curves.structure("centres")
        low[name] = curve.value[0]
        if name == "droplets":
            assert prepeak(curve, curves.without("centres"), 1.0).doubt.kind is Kind.BOX_CANNOT_SEE
    assert low["droplets"] > 30 > 8 > max(low[name] for name in low if name != "droplets")


def test_the_class_of_a_molecule_is_that_of_its_cluster():
    box = cluster_systems.droplets(80.5, 0)
    options = DescribeOptions(compactness=CompactnessOptions(shuffles=2, neighbourhoods=4))
    classes = unit_classes(systems.first(box.atoms, box.contacts()), options, 1)
    n = len(box.centres) + len(box.anions)
    assert (classes[:n] == CLASSES.index("compact")).all() and (classes[n:] == CLASSES.index("solvent")).all()
    larger = options.model_copy(update={"cipa": CipaThresholds(min_diameter_nm=4.5)})
    classes = unit_classes(systems.first(box.atoms, box.contacts()), larger, 1)
    assert (classes[:n] == CLASSES.index("cluster")).all()
    pairs = cluster_systems.Beads(
        np.eye(3) * 60.0,
        np.array([[5.0, 5, 5], [40, 40, 40]]),
        np.array([[9.0, 5, 5], [20, 20, 20]]),
        np.array([[50.0, 9, 9]]),
    )
    classes = unit_classes(systems.first(pairs.atoms, pairs.contacts()), options, 1)
    assert [CLASSES[k] for k in classes] == ["cluster", "alone", "cluster", "alone", "solvent"]


# ---- measured curves


def curve_file(folder, text: str, **said) -> MeasuredCurve:
    (folder / "saxs.csv").write_text(text, encoding="utf-8")
    return MeasuredCurve(**{"file": "saxs.csv", "radiation": "xray", "q_unit": "1/nm", "quantity": "intensity", **said})


def test_a_measured_curve_is_laid_beside_in_its_own_unit(tmp_path):
    computed = Curve(Q, lorentzian(Q), 0 * Q)
    text = "# a comment\nq,I,e\n" + "".join(f"{10 * q:.6f},{3 * lorentzian(q):.8f},0.1\n" for q in Q)
    found = beside(read_measured(curve_file(tmp_path, text), tmp_path), computed)
    assert found.r_factor < 1e-6 and found.scale == pytest.approx(3.0)
    off = text.replace("q,I,e\n", "q,I,e\n0.1,9,0.1\n")  # beyond what the box sees
    assert len(beside(read_measured(curve_file(tmp_path, off), tmp_path), computed).computed) == len(Q)
    exact = beside(read_measured(curve_file(tmp_path, text, quantity="structure factor"), tmp_path), computed)
    assert exact.scale == 1.0 and exact.r_factor == pytest.approx(
        np.abs(2 * lorentzian(Q)).sum() / np.abs(3 * lorentzian(Q) - 1).sum(), rel=1e-5
    )


def test_a_measured_curve_with_too_little_in_reach_is_refused(tmp_path):
    text = "".join(f"{q},1\n" for q in np.linspace(20, 50, 20))
    with pytest.raises(LmbmdError, match="only 0 of its points"):
        beside(read_measured(curve_file(tmp_path, text), tmp_path), Curve(Q, Q, Q))
    with pytest.raises(LmbmdError, match="no measured curve"):
        read_measured(MeasuredCurve(file="not.csv", radiation="xray", q_unit="1/nm", quantity="intensity"), tmp_path)
