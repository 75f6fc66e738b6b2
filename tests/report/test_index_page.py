import dataclasses

import pytest
import report_inputs

from lmbmd.report.inputs import load_results
from lmbmd.report.pages.index import index_page


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = report_inputs.write_study(tmp_path_factory.mktemp("study"))
    recipe = {"title": "a bottle", **report_inputs.RECIPE}
    return [load_results(folder / name, report_inputs.MANIFEST, recipe) for name in report_inputs.BOTTLES]


def with_cutoff(results, site, radius_A):
    """The same results with another first-shell cut-off of one site."""
    (point,) = results.state_points
    cutoffs = point.described.tables["cutoffs"].copy()
    cutoffs.loc[cutoffs.partner == site, "cutoff_A"] = radius_A
    described = dataclasses.replace(point.described, tables={**point.described.tables, "cutoffs": cutoffs})
    return dataclasses.replace(results, state_points=(dataclasses.replace(point, described=described),))


@pytest.mark.parametrize(("radius_A", "told"), [(2.8, False), (2.9, False), (2.92, True), (2.69, True)])
def test_sites_cut_at_other_radii_in_other_rows_are_told_below_the_comparison(compared, radius_A, told):
    """All sites are cut at 2.8 Å in the other row; a tenth of an Ångström is not worth a word."""
    low, high = sorted((2.8, radius_A))
    page = index_page([compared[0], with_cutoff(compared[1], "FSI:O", radius_A)])
    sentence = f"first shells of these rows have different radii: Li⁺ – FSI⁻ O {low:.2f} to {high:.2f} Å. To compare"
    assert (sentence in page) == told
    assert ("analysis: cutoffs_A" in page) == told


def test_second_shells_and_sites_of_one_row_are_not_compared(compared):
    page = index_page([compared[0], with_cutoff(with_cutoff(compared[1], "FSI", 9.0), "TTE:F", 3.4)])
    assert "analysis: cutoffs_A" not in page
