import dataclasses

import pytest
import report_inputs
from pages import Document

from lmbmd.report.inputs import load_results
from lmbmd.report.pages.index import index_page, unfinished, write_index
from lmbmd.study.status import Failure, RunStatus, State, StudyStatus


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


def standing(*failures: Failure) -> StudyStatus:
    """Of a study whose second bottle is simulated at a temperature that is not described yet."""
    one, two = report_inputs.BOTTLES
    runs = (
        RunStatus(one, "298.15", 1, None, State.REPORTED, 10, 1, produced_ns=10),
        RunStatus(two, "298.15", 1, None, State.ANALYSED, 10, 1, produced_ns=10),
        RunStatus(two, "333", 1, None, State.PRODUCING, 10, 1, produced_ns=4.25),
        RunStatus(two, "333", 2, None, State.WAITING, 10, 1),
    )
    return StudyStatus("a study", runs, failures, "")


def test_what_is_finished_by_now_is_compared_and_the_rest_is_told(compared, tmp_path):
    two = report_inputs.BOTTLES.keys() - {compared[0].name}
    (tmp_path / compared[0].name).mkdir()
    (tmp_path / compared[0].name / "report.html").touch()
    page = write_index(tmp_path, compared, (), standing()).read_text("utf-8")
    assert "lmbmd · comparison · study a study" in page
    section = page[page.index('id="unfinished"') : page.index('id="comparison"')]
    assert "1 waiting, 1 producing, 1 analysed and 1 reported" in section
    (name,) = two
    assert f'<th scope="row">{name}</th><td class="num" data-label="T (K)">333</td>' in section
    assert "1 waiting and 1 producing" in section
    assert "4.25 of 20" in section and "298.15" not in section and "failed" not in section
    assert f"{compared[0].name}/report.html" in page
    assert f"{name}/report.html" not in page and "its page is not made yet" in page


def test_one_state_point_is_not_offered_to_be_compared_with_itself(compared):
    """Neither a pair, nor trends, nor a front, and no script that would look for them; two have all of these."""
    alone, both = (Document(index_page(results)) for results in (compared[:1], compared))
    words = ("Two side by side", "Trends", "Trade-offs", "Pareto", "to sort", "Sort by")
    assert all(word in both.text for word in words) and not any(word in alone.text for word in words)
    assert alone.tables and "<script" not in index_page(compared[:1]) and "<button" not in index_page(compared[:1])


def test_a_failed_job_is_told_with_what_to_do_and_escaped(compared):
    failure = Failure("simulate", "lifsi-dme/298.15K/r1", "<script>no</script>. Mend it.", "logs/simulate/x.log")
    page = index_page(compared, lacking=unfinished(compared, standing(failure)))
    assert "simulate of lifsi-dme/298.15K/r1: &lt;script&gt;no&lt;/script&gt;. Mend it." in page
    assert "logs/simulate/x.log" in page


def test_a_study_of_which_nothing_is_finished_has_a_page(tmp_path):
    page = write_index(tmp_path, [], (), standing()).read_text("utf-8")
    assert "<h1>Nothing is finished yet</h1>" in page and "What is missing below: 3 state points" in page
    assert "<script" not in page and 'id="comparison"' not in page


def test_nothing_is_said_of_a_finished_study(compared):
    done = [dataclasses.replace(run, temperature="298.15", state=State.REPORTED) for run in standing().runs]
    assert unfinished(compared, StudyStatus("a study", tuple(done), (), "")) is None
