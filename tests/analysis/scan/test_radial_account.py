import numpy as np
import pytest

from lmbmd.analysis.scan.radial_account import _fallback_notes, pooled_rdf, rdf_table
from lmbmd.analysis.shells.cutoffs import Basis, Cutoff
from lmbmd.core.errors import LmbmdError
from lmbmd.data.rdf import Rdf
from lmbmd.numbers.doubt import Doubt, Kind

EDGES = np.array([0.0, 1.0, 2.0, 3.0])


def rdf(g, frames, reach=3.0, pairs=(("Li", "FSI"),), edges=EDGES):
    """Blocks of g for one pair; counts are a tenth of g."""
    g = np.array(g, float)[:, None]
    return Rdf(edges, pairs, g, g / 10, np.array(frames), reach)


def test_pooled_rdf_weights_replicas_by_their_frames():
    both = pooled_rdf([rdf([[0, 1, 2]], [1]), rdf([[0, 3, 2], [0, 5, 2]], [1, 2], reach=2.5)])
    g, cn = both.mean(0)
    assert g.tolist() == [0, 1 / 4 + 3 / 4 + 5 * 2 / 4, 2]
    assert cn == pytest.approx(np.cumsum(g) / 10)
    assert both.reach_A == 2.5


def test_replicas_with_other_bins_or_pairs_are_refused():
    with pytest.raises(LmbmdError, match="other bins or pairs than those of the first replica") as caught:
        pooled_rdf([rdf([[0, 1, 2]], [1]), rdf([[0, 1, 2]], [1], edges=EDGES * 1.1)])
    assert caught.value.where == "replica 2"
    with pytest.raises(LmbmdError):
        pooled_rdf([rdf([[0, 1, 2]], [1]), rdf([[0, 1, 2]], [1], pairs=(("Li", "PF6"),))])


def test_error_of_g_is_the_standard_error_of_equal_blocks():
    blocks = np.array([[0, 1, 2], [0, 3, 2], [0, 2, 2], [0, 6, 2]])
    table = rdf_table([rdf(blocks, [5, 5, 5, 5])])
    assert table.g_error.to_numpy() == pytest.approx([0, blocks[:, 1].std(ddof=1) / 2, 0])
    assert table.r_A.tolist() == [0.5, 1.5, 2.5]


def test_error_of_g_of_one_block_is_unknown_and_bins_beyond_the_reach_are_left_out():
    table = rdf_table([rdf([[0, 1, 2]], [5], reach=2.0)])
    assert len(table) == 2
    assert table.g_error.isna().all()


def test_table_of_replicas_has_the_running_cn_of_all_and_ends_at_the_shortest_reach():
    both = [rdf([[2, 1, 2]], [1]), rdf([[2, 3, 4], [2, 5, 6]], [1, 2], reach=2.2)]
    table = rdf_table(both)
    assert table.r_A.tolist() == [0.5, 1.5]
    assert table.g.tolist() == [2, 3.5]
    assert table.cn.tolist() == pytest.approx([0.2, 0.55])
    assert table.g_error[1] > 0


def cutoff(partner, radius, *rule):
    return Cutoff("Li", partner, radius, 2.0, 5.0, np.nan, np.nan, *rule)


def test_fallbacks_of_both_shells_are_told_in_one_sentence_for_each_radius():
    none, far = Doubt(Kind.NO_PAIR), Doubt(Kind.NO_SECOND_SHELL)
    beyond = Doubt(Kind.BEYOND_FALLBACK, at=8.0, low=7.5, because=(far,))
    first = [("FSI:N", 2.8, Basis.FALLBACK, none), ("FSI:F", 2.8, Basis.FALLBACK, Doubt(Kind.NO_RDF))]
    first += [("FSI:O", 2.7, Basis.GIVEN)]
    second = [
        ("FSI", 7.5, Basis.FALLBACK, far),
        ("TTE", np.nan, Basis.NONE, beyond),
        ("DME", np.nan, Basis.NONE, none),
        ("EC", 8.0, Basis.SECOND_MINIMUM),
    ]
    rows = [[cutoff(*row) for row in shell] for shell in (first, second)]
    assert [n["text"] for n in _fallback_notes(*rows)] == [
        f"Without a first minimum, 2.80 Å is the cut-off of Li–FSI:N ({none}); Li–FSI:F ({Doubt(Kind.NO_RDF)}).",
        f"Without a second minimum, 7.50 Å is the edge of the second shell of Li–FSI ({far}).",
        f"There is no edge of the second shell of Li–TTE ({beyond}); Li–DME ({none}).",
    ]
