"""A run that is too short has no error bars: not on its page, not in the comparison, and no p-values."""

import base64
import re
import zlib

import numpy as np
import pytest
import report_inputs
from pages import Document, load

from lmbmd.report.inputs import feature_table
from lmbmd.report.pages.comparison import comparison
from lmbmd.report.pages.index import index_page
from lmbmd.report.pages.page import formulation_page
from lmbmd.report.quoted import NOT_QUOTED, quoted


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("quoted"), (298.15, 320.0))
    return [load(study / name) for name in report_inputs.BOTTLES]


@pytest.fixture(scope="module")
def short(both):
    return report_inputs.too_short(both[1])


def test_the_page_of_a_run_that_is_too_short_has_no_error_bar(short, both):
    one = formulation_page(short)
    text = Document(one.html).text
    seen = Document(one.html[: one.html.index('<section id="definitions"')])
    results_of_it = seen.text
    # The scatter of a null model is no error bar of the run.
    chance = [table for table in seen.tables if "by chance" in [cell["text"] for cell in table[0]]]
    scatter = {cell["text"] for table in chance for row in table for cell in row}
    assert {found for found in re.findall(r"\S+ ± \d\S*", results_of_it) if found not in scatter} == set()
    assert "never changed" not in results_of_it
    assert "≈ 2.9" in results_of_it and "±" in Document(formulation_page(both[1]).html).text
    assert text.count("without error bars") == len(short.state_points), "said once at the top"
    assert str(NOT_QUOTED) not in results_of_it, "said once, not beside every number"


def test_what_is_exact_or_has_no_value_stays_as_it_is(short):
    point = short.state_points[0]
    old, new = (one.described.descriptors.set_index(["name", "species"]) for one in (point, quoted(point)))
    assert (old.value.isna() == new.value.isna()).all() and (old.value.dropna() == new.value.dropna()).all()
    nothing = old.value.isna()
    assert nothing.any() and (old.doubt_kind[nothing] == new.doubt_kind[nothing]).all()
    assert set(new.doubt_kind[~nothing & (old.error > 0)]) == {"not_quoted"}
    counts = point.described.tables["composition"].query("quantity == 'count'")
    kept = quoted(point).described.tables["composition"].query("quantity == 'count'")
    assert (counts.error == 0).all() and (kept.doubt_kind == "").all()


def test_a_run_that_is_long_enough_is_quoted_as_it_is(both):
    point = both[1].state_points[0]
    assert quoted(point) is point


def test_nothing_is_tested_against_a_run_that_is_too_short(both, short):
    results = [both[0], short]
    numbers = feature_table(results)
    fixed = numbers.name == "density_g_cm3"  # exact, as in a box of fixed size
    numbers = numbers.assign(error=numbers.error.mask(fixed, 0.0), doubt_kind=numbers.doubt_kind.mask(fixed, ""))
    found = comparison(results, numbers)
    table = np.frombuffer(zlib.decompress(base64.b64decode(found["pairs"]["table"])), np.uint8)
    places = table.reshape(3, len(found["numbers"]), 6)[0]
    # Points 0, 1 are good, 2, 3 too short: of the pairs (0,1), (0,2), (0,3), (1,2), (1,3), (2,3) the first is told.
    assert (places[:, 0] > 1).any()
    assert [n["name"] for n, row in zip(found["numbers"], places, strict=True) if (row[1:] > 1).any()] == []
    row = Document(index_page(results)).tables[0][3]
    assert "±" not in "".join(cell["text"] for cell in row)
