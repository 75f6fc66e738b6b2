"""The compact share does not depend on the order of atoms beyond the error that its drawings are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cluster_systems import small_compact
from systems import first

from lmbmd.analysis.clusters.cipa import compact_share, drawing_error
from lmbmd.analysis.clusters.compactness import MOST_DRAWINGS, Compactness, _z
from lmbmd.analysis.clusters.options import CipaThresholds, CompactnessOptions

BOX = small_compact(45.0, 1)


def share(box, thresholds):
    fold = Compactness(box.atoms, 1, CompactnessOptions(), 1, thresholds)
    fold.add(first(box.atoms, box.contacts(0), {}))
    result = fold.result()
    return compact_share(result, thresholds, small=True)[0], drawing_error([result], thresholds, small=True)


def renumbered(box, seed):
    rng = np.random.default_rng(seed)
    return replace(box, **{name: rng.permutation(getattr(box, name)) for name in ("centres", "anions", "solvent")})


@pytest.mark.parametrize("min_z", [3.0, 3.68, 4.0])
def test_the_share_is_the_same_for_every_order_of_the_molecules_within_its_error(min_z):
    """Ten drawings alone put clusters of z = 3.4–4 on either side: shares from 0.53 to 1 in one box."""
    thresholds = CipaThresholds(min_z=min_z, min_density_ratio=1.0, min_contacts_per_ion=2.0)
    shares, errors = np.array([share(renumbered(BOX, seed), thresholds) for seed in range(6)]).T
    if min_z == 3.68:  # the clusters' own z, as far as it can be drawn
        assert shares.std(ddof=1) <= 2 * np.sqrt((errors**2).mean())
        assert errors.max() < 0.3
    else:
        assert np.ptp(shares) == 0 and errors.max() < 0.2


def test_one_order_gives_one_share():
    thresholds = CipaThresholds(min_z=3.68, min_density_ratio=1.0, min_contacts_per_ion=2.0)
    assert share(BOX, thresholds) == share(BOX, thresholds)


def test_no_more_is_drawn_where_every_cluster_is_far_from_the_threshold(monkeypatch):
    drawn = []
    from lmbmd.analysis.clusters import nulls

    shuffled = nulls.shuffled_pairs
    monkeypatch.setattr(nulls, "shuffled_pairs", lambda *a: drawn.append(1) or shuffled(*a))
    share(BOX, CipaThresholds(min_z=30.0, min_density_ratio=1.0, min_contacts_per_ion=2.0))
    assert len(drawn) == 10
    drawn.clear()
    share(BOX, CipaThresholds(min_z=3.68, min_density_ratio=1.0, min_contacts_per_ion=2.0))
    assert 10 < len(drawn) <= 10 * MOST_DRAWINGS


def test_the_error_of_z_is_what_other_drawings_make_of_it():
    """Neighbourhoods of one drawing are alike: z scatters more than their number would tell."""
    rng = np.random.default_rng(2)
    sizes, found = np.array([1, 4]), []
    for _ in range(400):
        means = 2 + 0.3 * rng.normal(size=(12, 1, 2)) + rng.normal(size=(12, 8, 2))
        found.append(np.array(_z(np.array([5.0, 4.0]), np.array([4, 1]), means, sizes)))
    z, error = np.array(found).transpose(1, 0, 2)
    assert np.sqrt((error**2).mean(axis=0)) == pytest.approx(z.std(axis=0), rel=0.15)


def test_a_share_without_candidates_has_no_error_from_drawings():
    assert share(BOX, CipaThresholds(min_contacts_per_ion=20.0)) == (0.0, 0.0)
