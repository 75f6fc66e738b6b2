"""What the comparison page is made from, and the page at work in a browser."""

import base64
import dataclasses
import itertools
import json
import math
import re
import zlib

import numpy as np
import pandas as pd
import pytest
import report_inputs
from browser import MISFITS, browse, examine, needs_chromium
from scipy import stats

from lmbmd.numbers.compare import difference, holm
from lmbmd.numbers.estimate import Estimate
from lmbmd.report.inputs import feature_table, load_results
from lmbmd.report.pages.comparison import comparison, label
from lmbmd.report.pages.index import index_page, write_index
from lmbmd.report.pages.scripts import embedded

EVIL = "</script><script>alert('x')</script><!--"
#: name → (free solvent, CIP + AGG, cluster size): the second is beaten by the first in every respect.
FRONT = {"best": (0.1, 0.9, 5.0), "beaten": (0.2, 0.8, 6.0), "free": (0.05, 0.5, 9.0), "paired": (0.3, 0.95, 2.0)}


def described_as(point, **values):
    """A state point with these numbers instead of its own, each with an error of a tenth and 90 samples."""
    rows = [
        {
            "name": name,
            "species": species,
            "value": value,
            "error": abs(value) / 10,
            "unit": "1",
            "n_effective": 90.0,
            "degrees_of_freedom": 30.0,
            "method": "made up",
            "definition": "made up",
            "doubt": "",
            "doubt_kind": "",
            "doubt_n": math.nan,
            "doubt_at": math.nan,
        }
        for (name, species), value in values["rows"].items()
    ]
    described = dataclasses.replace(point.described, descriptors=pd.DataFrame(rows), notes=())
    return dataclasses.replace(point, described=described)


@pytest.fixture(scope="module")
def bottle(tmp_path_factory):
    folder = report_inputs.write_study(tmp_path_factory.mktemp("one"), (298.15, 320.0), ("lifsi-dme-tte",))
    return load_results(folder / "lifsi-dme-tte", report_inputs.MANIFEST, {"title": "an LHCE"})


@pytest.fixture(scope="module")
def study(bottle):
    """Four made-up bottles at two temperatures, with numbers that are known."""
    found = []
    for k, (name, (free, paired, size)) in enumerate(FRONT.items()):
        points = [
            described_as(
                point,
                rows={
                    ("free_solvent_fraction", "DME"): free * factor,
                    ("cip_agg_fraction_anion", ""): paired * factor,
                    ("cluster_size_weight_average", "Li"): size * factor,
                    ("molarity_mol_L", "LiFSI"): 1.0 + k,
                    ("anion_cn", "FSI"): 1.0 + 0.02 * k,
                    ("tiny_m2_s", "Li"): (1.0 + 0.5 * k) * 1e-10,
                },
            )
            for point, factor in zip(bottle.state_points, (1.0, 0.9), strict=True)
        ]
        counts = {"Li": 50, "FSI": 50, "DME": 60, "TTE": 60 * k}
        composition = {**bottle.composition, "counts": counts}
        recipe = {"title": f"{name} {EVIL}"}
        found.append(
            dataclasses.replace(bottle, name=name, composition=composition, state_points=points, recipe=recipe)
        )
    return found


@pytest.fixture(scope="module")
def data(study):
    return comparison(study, feature_table(study))


def cell(data, point, name, species=""):
    k = next(k for k, n in enumerate(data["numbers"]) if (n["name"], n["species"]) == (name, species))
    return next(c for c in data["points"][point]["cells"] if c[0] == k)


def test_every_number_of_every_state_point_is_there(study, data):
    table = feature_table(study)
    assert [(p["name"], p["T"]) for p in data["points"]] == [(n, T) for n in FRONT for T in (298.15, 320.0)]
    wanted = table[~table.name.isin(["count", "box_edge_nm", "sampled_ns"])]
    for row in wanted.itertuples():
        point = list(FRONT).index(row.formulation) * 2 + (row.temperature_K == 320.0)
        _, value, error, doubt = cell(data, point, row.name, row.species)
        assert (value, error) == pytest.approx((row.value, row.error), rel=1e-3)
        assert data["doubts"][doubt] == row.doubt == ""


def test_a_number_that_one_state_point_alone_has_is_left_out(study):
    extra = pd.DataFrame(
        [
            {
                "name": "solvent_cn",
                "species": "DME",
                "value": 1.0,
                "error": 0.1,
                "unit": "1",
                "n_effective": 50.0,
                "degrees_of_freedom": 16.0,
                "method": "m",
                "definition": "m",
                "doubt": "",
                "doubt_kind": "",
                "doubt_n": math.nan,
                "doubt_at": math.nan,
            }
        ]
    )
    point = study[0].state_points[0]
    rows = pd.concat([point.described.descriptors, extra], ignore_index=True)
    described = dataclasses.replace(point.described, descriptors=rows)
    point = dataclasses.replace(point, described=described)
    one = dataclasses.replace(study[0], state_points=(point, study[0].state_points[1]))
    names = [n["name"] for n in comparison([one, study[1]], feature_table([one, study[1]]))["numbers"]]
    assert "solvent_cn" not in names and "anion_cn" in names


def test_where_a_state_point_stands_follows_from_counts_and_molarity(data):
    best, paired = data["points"][0]["at"], data["points"][-1]["at"]
    assert best == {"concentration": 1.0, "diluent": 0.0, "solvent": 1.2, "temperature": 298.15}
    assert paired == {"concentration": 4.0, "diluent": 0.75, "solvent": 1.2, "temperature": 320.0}
    assert data["points"][0]["base"] == "Li⁺ FSI⁻ DME" and data["points"][0]["diluents"] == ""
    assert data["points"][-1]["diluents"] == "TTE"


def test_units_of_chains_are_solvent_as_the_recipe_counts_them(study):
    one = study[0]
    chains = {"names": {"A": "PEO"}, "sequences": ["A" * 45, "A" * 30]}
    box = {"counts": {"Li": 10, "FSI": 10, "PEO": 2, "DME": 5}, "chains": {"PEO": chains}}
    roles = {"Li": "cation", "FSI": "anion", "PEO": "polymer", "DME": "diluent"}
    gel = dataclasses.replace(one, composition={**one.composition, **box, "roles": roles})
    at = comparison([gel], feature_table([gel]))["points"][0]["at"]
    assert at["solvent"] == 75 / 10 and at["diluent"] == 5 / 80


def test_free_solvent_over_all_solvents_is_weighted_by_molecules(study, data):
    for point, (free, *_) in zip(data["points"][::2], FRONT.values(), strict=True):
        same = cell(data, data["points"].index(point), "free_solvent_fraction")
        assert same[1:3] == pytest.approx([free, free / 10])
    # Two solvents: 60 DME of which 0.1 and 20 EC of which 0.5 are free: 16 of 80; errors 0.01 and 0.05 at most add up.
    rows = {("free_solvent_fraction", "DME"): 0.1, ("free_solvent_fraction", "EC"): 0.5}
    point = described_as(study[0].state_points[0], rows=rows)
    composition = {**study[0].composition, "counts": {"Li": 50, "FSI": 50, "DME": 60, "EC": 20}}
    two = [dataclasses.replace(study[0], name=n, composition=composition, state_points=(point,)) for n in "ab"]
    found = comparison(two, feature_table(two))
    assert cell(found, 0, "free_solvent_fraction")[1:3] == pytest.approx([16 / 80, (60 * 0.01 + 20 * 0.05) / 80])


def test_embedded_data_cannot_leave_its_element():
    data = {"a": EVIL, "b": "\u2028 & <b>"}
    text = embedded(data)
    assert not set("<>&\u2028\u2029") & set(text) and json.loads(text) == data
    with pytest.raises(ValueError):
        embedded({"a": math.nan})


def test_numbers_are_named_for_readers():
    assert label("anion_cn", "FSI") == "Anion CN, FSI⁻"
    assert label("donor_cn", "FSI:O") == "Donor CN, FSI⁻ O"
    assert label("free_solvent_fraction", "") == "Free solvent fraction, all solvents"
    assert label("shell_fraction", "DME1 FSI2") == "Shell fraction, DME1 FSI2"


def test_reading_only_what_the_comparison_shows_gives_the_same_page(tmp_path):
    folder = report_inputs.write_study(tmp_path, (298.15, 320.0))
    full, brief = ([load_results(folder / name, brief=b) for name in report_inputs.BOTTLES] for b in (False, True))
    assert index_page(brief) == index_page(full)
    pd.testing.assert_frame_equal(feature_table(brief), feature_table(full))
    assert len(brief[0].state_points[0].described.tables) < len(full[0].state_points[0].described.tables)


# --- in a browser ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    return write_index(tmp_path_factory.mktemp("index"), study)


#: What the tests below need of the page, asked for in one visit.
VISIT = """
const get = (id) => d.getElementById(id), w = f.contentWindow;
const set = (id, value) => { const e = get(id); if (e.type === "checkbox") e.checked = value; else e.value = value;
  e.dispatchEvent(new w.Event("input", { bubbles: true })); };
const shown = () => [...d.querySelectorAll("#comparison tbody tr")].filter((r) => !r.hidden);
const order = () => shown().map((r) => r.children[0].dataset.sort + " " + r.children[1].dataset.sort);
const pick = (id, words) => set(id, [...get(id).options].find((x) => x.textContent.startsWith(words)).value);
while (get("pair").hasAttribute("aria-busy")) await new Promise((done) => setTimeout(done, 20));
const out = { before: order() };
const button = d.querySelectorAll("#comparison th button")[1];
button.click(); out.byT = order(); button.click(); out.byTdown = order();
pick("sort-number", "CIP + AGG"); out.byPaired = order().filter((x) => x.endsWith("298.15"));
set("sort-down", true); out.byPairedDown = order().filter((x) => x.endsWith("298.15"));
set("filter-text", "PAIR alert"); set("filter-T", "298.15"); out.filtered = order();
out.count = get("filter-count").textContent;
set("filter-text", "no such thing"); out.none = order().length; set("filter-text", ""); set("filter-T", "");
const pair = () => [...get("pair-body").rows].map((r) => [...r.children].map((c) => c.textContent));
set("pair-a", "0"); set("pair-b", "4"); set("pair-all", true); out.pair = pair();
out.words = get("pair-words").textContent;
set("pair-only", true); out.only = pair(); set("pair-only", false);
get("pair-swap").click(); out.swapped = pair(); out.swappedTo = [get("pair-a").value, get("pair-b").value];
set("pair-b", "5"); out.otherT = get("pair-words").textContent;
set("scatter-T", "298.15"); const front = () => [...get("scatter-body").rows].map((r) => r.textContent);
out.front = front(); set("goal-z", "-1"); out.front3 = front();
for (const id of ["goal-x", "goal-y", "goal-z"]) set(id, "0");
out.noGoal = get("scatter-front").hidden;
out.marks = d.querySelectorAll("#trend-plot a").length; out.axis = get("trend-x").value;
set("trend-x", "temperature"); out.lines = d.querySelectorAll("#trend-plot path[stroke-opacity]").length;
pick("trend-y", "Tiny");
out.tiny = [...d.querySelectorAll("#trend-plot text")].filter((t) => t.textContent.endsWith(" × 10⁻¹⁰")).length;
out.scripts = d.querySelectorAll("script").length;
out.focus = d.querySelectorAll("#trend-plot a[href][aria-label]").length;
out.labels = [...d.querySelectorAll("input, select")].filter((e) => !e.labels.length).length;
return out;
"""


@pytest.fixture(scope="module")
def visit(page, tmp_path_factory):
    return examine(page, 1280, VISIT, tmp_path_factory.mktemp("visit"))


@pytest.mark.slow
@needs_chromium
def test_the_pages_open_without_errors_or_requests(page, tmp_path):
    for name in ("index.html", "claims.html"):
        dom, console, asked = browse(page.with_name(name), tmp_path, "--dump-dom")
        assert "</html>" in dom and console == [] and asked == []


@pytest.mark.slow
@needs_chromium
def test_the_table_sorts_by_headings_and_by_any_number(visit):
    names = list(FRONT)
    assert visit["before"] == [f"{name} {T}" for name in names for T in ("298.15", "320.0")]
    assert visit["byT"] == [f"{n} 298.15" for n in names] + [f"{n} 320.0" for n in names]
    assert visit["byTdown"] == [f"{n} 320.0" for n in names] + [f"{n} 298.15" for n in names]
    ascending = [f"{name} 298.15" for name in sorted(names, key=lambda n: FRONT[n][1])]
    assert visit["byPaired"] == ascending and visit["byPairedDown"] == ascending[::-1]


@pytest.mark.slow
@needs_chromium
def test_the_table_is_filtered_by_words_and_temperature(visit):
    assert visit["filtered"] == ["paired 298.15"] and visit["count"] == "1 of 8 shown" and visit["none"] == 0


def numbers_in(text):
    """Value and error as printed, also of a multiple of a power of ten."""
    plain, _, power = text.replace("−", "-").partition(" × 10")
    digits = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return [float(x) * 10.0 ** int(digits or 0) for x in plain.strip("()").split(" ± ")]


@pytest.mark.slow
@needs_chromium
def test_the_pair_view_says_what_the_judge_would(visit, data):
    """What the page prints against Student's t, Welch and Holm of the numbers that it prints."""
    a, b = data["points"][0], data["points"][4]
    wanted, ps = {}, []
    for k, number in enumerate(data["numbers"]):
        x, y = (next(c for c in p["cells"] if c[0] == k) for p in (a, b))
        e = difference(*(Estimate(c[1], c[2], 90.0, 30.0) for c in (y, x)))
        wanted[number["label"]] = e
        if (number["name"], number["species"]) != ("free_solvent_fraction", ""):  # the same number as DME's
            ps.append((number["label"], 2 * stats.t.sf(abs(e.value) / e.error, e.degrees_of_freedom)))
    corrected = dict(zip([name for name, _ in ps], holm([p for _, p in ps]), strict=True))
    rows = {re.sub(r" \(.*?\)$", "", row[0]): row for row in visit["pair"]}
    assert len(rows) == len(corrected)
    for name, p in corrected.items():
        value, error = numbers_in(rows[name][3])
        assert error == pytest.approx(wanted[name].error, rel=0.5 / 1.0)  # one digit, or two from 1.0 to 1.9
        assert abs(value - wanted[name].value) <= 0.5 * error + 1e-12
        shown = rows[name][5]
        assert shown == ("< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}")
        higher = "B is higher" if wanted[name].value > 0 else "B is lower"
        assert rows[name][6] == (higher if p < 0.05 else "no significant difference")
    assert rows["Tiny, Li⁺"][1:4] == ["(1.00 ± 0.10) × 10⁻¹⁰", "(2.0 ± 0.2) × 10⁻¹⁰", "(1.0 ± 0.2) × 10⁻¹⁰"]
    assert visit["tiny"], "the axis of a tiny number has its power of ten"
    significant = [name for name, p in corrected.items() if p < 0.05]
    assert 0 < len(significant) < len(corrected)
    assert [re.sub(r" \(.*?\)$", "", row[0]) for row in visit["only"]] == significant
    assert visit["words"].startswith(f"{len(significant)} of {len(corrected)} differences")


def lookup(data, i, j, name, species="", all_numbers=True):
    """What the page finds about a number of two state points: the p-value as printed, if it is told, the half width."""
    table = np.frombuffer(zlib.decompress(base64.b64decode(data["pairs"]["table"])), np.uint8)
    n = len(data["points"])
    table = table.reshape(3, len(data["numbers"]), n * (n - 1) // 2)
    pair = [*itertools.combinations(range(n), 2)].index((i, j))
    k = next(k for k, m in enumerate(data["numbers"]) if (m["name"], m["species"]) == (name, species))
    place = table[0 if all_numbers else 1, k, pair]
    return data["pairs"]["p"][place], 1 < place <= data["pairs"]["told"], table[2, k, pair] / 10


def test_every_pair_is_compared_with_all_numbers_and_with_the_main_ones(study, data):
    table = feature_table(study).set_index(["formulation", "temperature_K", "name", "species"]).sort_index()
    names = list(FRONT)
    main = [("cip_agg_fraction_anion", ""), ("cluster_size_weight_average", "Li"), ("anion_cn", "FSI")]
    main += [("molarity_mol_L", "LiFSI"), ("free_solvent_fraction", "DME"), ("tiny_m2_s", "Li")]
    assert set(main) <= {(number["name"], number["species"]) for number in data["numbers"]}
    for i, j in itertools.combinations(range(8), 2):
        both = [table.loc[names[k // 2], (298.15, 320.0)[k % 2]] for k in (i, j)]
        ps = {}
        for key in main:
            a, b = (one.loc[key] for one in both)
            e = difference(*(Estimate(r.value, r.error, 90.0, 30.0) for r in (b, a)))
            ps[key] = 1.0 if e.value == 0 else 2 * stats.t.sf(abs(e.value) / e.error, e.degrees_of_freedom)
            assert lookup(data, i, j, *key)[2] == pytest.approx(stats.t.ppf(0.975, e.degrees_of_freedom), abs=0.051)
        for key, p in zip(ps, holm(list(ps.values())), strict=True):
            printed, told, _ = lookup(data, i, j, *key)
            assert told == (p < 0.05)
            assert printed == ("< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}")
        # "All solvents" repeats the one solvent, and is not listed.
        assert lookup(data, i, j, "free_solvent_fraction")[0] == ""


def test_a_number_in_doubt_is_listed_but_not_tested(study):
    point = study[0].state_points[0]
    rows = point.described.descriptors.copy()
    rows.loc[rows.name == "anion_cn", ["n_effective", "doubt_kind"]] = 3.0, "few_samples"
    described = dataclasses.replace(point.described, descriptors=rows)
    one = dataclasses.replace(study[0], state_points=(dataclasses.replace(point, described=described),))
    two = dataclasses.replace(study[1], state_points=study[1].state_points[:1])
    found = comparison([one, two], feature_table([one, two]))
    assert lookup(found, 0, 1, "anion_cn", "FSI")[:2] == ("–", False)
    assert lookup(found, 0, 1, "molarity_mol_L", "LiFSI")[0] != "–"


def test_pages_of_very_many_state_points_compare_no_pairs(study, monkeypatch):
    monkeypatch.setattr("lmbmd.report.pages.comparison.PAIRS_UP_TO", 7)
    assert comparison(study, feature_table(study))["pairs"] is None


@pytest.mark.slow
@needs_chromium
def test_exchanging_a_and_b_changes_the_sign(visit):
    assert visit["swappedTo"] == ["4", "0"]
    for row, swapped in zip(visit["pair"], visit["swapped"], strict=True):
        assert row[1:3] == swapped[2:0:-1]
        assert swapped[3].replace("−", "") == row[3].replace("−", "")
        assert swapped[3] != row[3] or row[3].startswith("0")
    assert "Their temperatures differ: 298.15 K and 320 K." in visit["otherT"]


@pytest.mark.slow
@needs_chromium
def test_the_pareto_front_is_what_pairwise_comparison_finds(visit):
    """Naive twin: a state point is on the front if no other is at least as good in every goal and better in one."""

    def front(signs):
        goals = {n: np.array([s * v for s, v in zip(signs, values, strict=True) if s]) for n, values in FRONT.items()}
        beats = lambda a, b: (a >= b).all() and (a > b).any()  # noqa: E731
        return [n for n, g in goals.items() if not any(beats(h, g) for h in goals.values())]

    shown = [[text.split()[0] for text in visit[key]] for key in ("front", "front3")]
    assert shown == [front((-1, 1, 0)), front((-1, 1, -1))]
    assert "beaten" not in shown[0] and len(shown[0]) == 3 and visit["noGoal"] is True


@pytest.mark.slow
@needs_chromium
def test_trends_join_what_differs_in_the_axis_alone(visit):
    assert visit["marks"] == visit["focus"] == 8 and visit["axis"] == "concentration"
    assert visit["lines"] == len(FRONT)  # one line per bottle over temperature


@pytest.mark.slow
@needs_chromium
def test_names_from_users_stay_text_and_every_control_has_a_label(visit):
    assert visit["scripts"] == 2 and visit["labels"] == 0


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["index.html", "claims.html"])
def test_nothing_sticks_out_or_is_clipped(page, tmp_path, name, width):
    found = examine(page.with_name(name), width, MISFITS.replace("svg.plot", "svg.chart"), tmp_path)
    assert found.pop("width") <= width
    assert found.pop("labels") >= (10 if name == "index.html" else 0)
    assert found == {"out": [], "clipped": [], "tiny": []}


def test_the_page_of_one_state_point_has_nothing_to_compare_and_still_opens(bottle):
    one = dataclasses.replace(bottle, state_points=bottle.state_points[:1])
    assert "1 formulation, 1 state point" in index_page([one])
