"""Shells and clusters in three dimensions: what is drawn, what the page carries for it, and that nothing gets out."""

import base64
import dataclasses
import hashlib
import html
import itertools
import json
import re
from importlib import resources

import numpy as np
import pytest
import report_inputs
import yaml
from pages import EVIL, Document, load

from lmbmd.analysis.families import schemas
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Described
from lmbmd.report.figures import palette, scenes
from lmbmd.report.figures.stills import still
from lmbmd.report.inputs import load_results
from lmbmd.report.pages.page import formulation_page

VENDOR = resources.files("lmbmd.report").joinpath("vendor")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return report_inputs.write_study(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def results(study):
    """One bottle with its snapshots and the table they need, and little else, so that its page is drawn quickly."""
    found = load(study / "lifsi-dme")
    (point,) = found.state_points
    tables = {"shells": point.described.tables["shells"]}
    point = dataclasses.replace(point, replicas=(), described=dataclasses.replace(point.described, tables=tables))
    return dataclasses.replace(found, state_points=(point,))


@pytest.fixture(scope="module")
def page(results):
    return formulation_page(results).html


def with_snapshots(results, snapshots):
    (point,) = results.state_points
    return dataclasses.replace(results, state_points=(dataclasses.replace(point, snapshots=tuple(snapshots)),))


def test_files_of_others_are_the_ones_that_were_released_with_their_licence():
    manifest = yaml.safe_load(VENDOR.joinpath("manifest.yaml").read_text("utf-8"))
    names = {entry.name for entry in VENDOR.iterdir()}
    assert names == {"manifest.yaml", *manifest, *(entry["licence_file"] for entry in manifest.values())}
    for name, entry in manifest.items():
        assert hashlib.sha256(VENDOR.joinpath(name).read_bytes()).hexdigest() == entry["sha256"]
        assert "Redistribution and use" in VENDOR.joinpath(entry["licence_file"]).read_text("utf-8")
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]) and entry["licence"] == "BSD-3-Clause"


def test_a_page_carries_the_viewer_once_with_its_licence_and_allows_no_other_script(page):
    library = VENDOR.joinpath("3Dmol-min.js").read_text("utf-8")
    assert page.count(library) == 1 and page.count("Copyright (c) 2014, University of Pittsburgh") == 1
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert len(scripts) == 3 and policy.endswith("; script-src " + " ".join(f"'sha256-{d}'" for d in digests))
    assert "unsafe-eval" not in policy and "connect-src" not in policy and policy.startswith("default-src 'none'")


def test_a_page_without_snapshots_has_no_viewer(results):
    text = formulation_page(with_snapshots(results, ())).html
    assert text.count("<script") == 1 and "3Dmol" not in Document(text).text and len(text) < 250_000


def test_the_data_of_the_views_cannot_end_their_element(results):
    evil = [{**s, "species": [[EVIL, n] for _, n in s["species"]]} for s in results.state_points[0].snapshots]
    text = formulation_page(with_snapshots(results, evil)).html
    data = re.search(r'<script type="application/json" id="scenes">(.*?)</script>', text, re.S)[1]
    assert "<" not in data and "&" not in data
    assert {model["species"][0] for model in json.loads(data).values()} == {EVIL}


def test_every_scene_is_on_the_page_as_a_picture_with_words_files_and_a_button(results, page, study):
    document = Document(page)
    data = json.loads(re.search(r'id="scenes">(.*?)</script>', page, re.S)[1])
    expected = {"298.15K-view-shell-1-DME3", "298.15K-view-shell-2-DME2-FSI1", "298.15K-view-cluster-7-ions"}
    assert set(data) == expected <= set(document.values("id"))
    buttons = [a for tag, a in document.tags if tag == "button" and "data-scene" in a]
    assert {a["data-scene"] for a in buttons} == expected and all("hidden" in a for a in buttons)
    stages = [a for tag, a in document.tags if tag == "div" and a.get("class") == "stage"]
    assert [a["data-scene"] for a in stages] == ["298.15K-view-shell-1-DME3", "298.15K-view-cluster-7-ions"]
    for name in ("shell-1_DME3", "cluster_7-ions"):
        for suffix in (".pdb", ".xyz"):
            assert f"298.15K/snapshots/{name}{suffix}" in document.values("href")
    assert "The pictures are from replica 1 only; the numbers are from all replicas." in document.text
    assert "31 ± 2 % of all shells, the most frequent. Replica 1, 13 ps." in document.text
    assert "27.0 ± 1.9 % of all shells, the 2nd most frequent." in document.text
    assert "The largest finite cluster among the sampled frames of the replica, net charge +1 e" in document.text


def test_a_scene_says_in_words_what_it_shows(results):
    first, _ = scenes.shell_scenes(results.state_points[0])
    assert first.alt == (
        "3-D picture of one Li⁺ with its first shell, 3 DME: 1 Li⁺, 3 DME; 3 contacts of Li⁺ with donor atoms."
    )
    (cluster,) = scenes.cluster_scenes(results.state_points[0], results.roles)
    assert cluster.faint == {"DME"} and "4 Li⁺, 3 FSI⁻, 2 DME" in cluster.alt


def test_a_ring_is_drawn_with_all_its_bonds_and_near_molecules_are_not_joined(results):
    """EC's ring needs a bond that no tree of parents has; two molecules at bonding distance stay two."""
    _, xyz, bonds = report_inputs.molecule("EC")
    first = results.state_points[0].snapshots[0]
    record = {
        **first,
        "species": [["EC", len(xyz)], ["EC", len(xyz)]],
        "element": [*report_inputs.molecule("EC")[0]] * 2,
        "xyz_A": [*xyz.tolist(), *(xyz + np.array([0.0, 0.0, 1.4])).tolist()],
        "bonds": [*map(list, bonds), *([i + len(xyz), j + len(xyz)] for i, j in bonds)],
        "contacts": [],
    }
    (point,) = results.state_points
    (scene,) = scenes.shell_scenes(dataclasses.replace(point, snapshots=(record,)))
    assert len(bonds) == len(xyz) == 10, "one ring: as many bonds as atoms"
    assert sorted(map(tuple, scene.bonds.tolist())) == sorted(map(tuple, record["bonds"]))


def test_bonds_are_those_of_the_record_however_near_the_atoms_are(results):
    (point,) = results.state_points
    record = point.snapshots[0]
    near = {**record, "xyz_A": (0.1 * np.array(record["xyz_A"])).tolist()}
    (scene,) = scenes.shell_scenes(dataclasses.replace(point, snapshots=(near,)))
    # C4H10O2: 15 bonds a molecule; Li⁺ has none.
    assert len(scene.bonds) == 3 * 15 and scene.bonds.tolist() == record["bonds"]


def test_a_view_of_a_box_whose_bonds_are_not_known_says_so(results):
    (point,) = results.state_points
    record = {**point.snapshots[0], "bonds": None}
    (scene,) = scenes.shell_scenes(dataclasses.replace(point, snapshots=(record,)))
    assert len(scene.bonds) == 0 and scene.caption.endswith(
        "Bonds are not drawn: this box was built without a list of them."
    )


@pytest.mark.parametrize("spread", [*itertools.permutations((1, 2, 5))])  # half of them would be mirrored without care
def test_turning_keeps_distances_and_handedness_and_shows_the_broad_side(spread):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3)) * spread + 7
    turned = scenes.turned(x)
    pairs = lambda y: np.linalg.norm(y[:, None] - y[None], axis=-1)  # noqa: E731
    assert pairs(turned) == pytest.approx(pairs(x), abs=1e-9)
    assert np.linalg.det(turned[:3] - turned[3]) == pytest.approx(np.linalg.det(x[:3] - x[3]), rel=1e-6)
    spread = turned.var(axis=0)
    assert spread[0] > spread[1] > spread[2] and turned.mean(axis=0) == pytest.approx(0, abs=1e-12)


def test_a_single_atom_is_put_at_the_origin():
    assert scenes.turned(np.array([[1.0, 2.0, 3.0]])).tolist() == [[0, 0, 0]]


def test_the_viewer_is_given_the_colours_and_contacts_of_the_page(results):
    colour = palette.colours(results.roles)
    (cluster,) = scenes.cluster_scenes(results.state_points[0], results.roles)
    model = cluster.model(colour)
    assert model["species"] == ["Li", "FSI", "DME"] and model["colours"] == [colour[s] for s in ("Li", "FSI", "DME")]
    assert model["faint"] == [False, False, True]
    assert len(model["xyz"]) == 3 * len(model["element"]) == 3 * len(model["of"])
    record = results.state_points[0].snapshots[-1]
    contacts = np.array(model["contacts"]).reshape(-1, 2)
    x = np.array(model["xyz"]).reshape(-1, 3)
    given = np.array(record["xyz_A"])
    for (a, b), (c, d) in zip(contacts, record["contacts"], strict=True):
        assert np.linalg.norm(x[a] - x[b]) == pytest.approx(np.linalg.norm(given[c] - given[d]), abs=0.02)


def test_a_still_picture_comes_with_its_coordinates_and_is_the_same_each_time(results):
    colour = palette.colours(results.roles)
    first, _ = scenes.shell_scenes(results.state_points[0])
    drawing = still(first, colour)
    assert list(drawing.data.columns) == ["species", "molecule", "element", "x_A", "y_A", "z_A"]
    assert len(drawing.data) == 49 and drawing.svg == still(first, colour).svg
    assert colour["Li"] != colour["DME"] and "stroke-dasharray" in drawing.svg


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"element": ["Li"]}, "the atoms of shell-1_DME3 do not add up"),
        ({"contacts": [[0, 4000]]}, "a contact of shell-1_DME3 is with no atom"),
        ({"bonds": [[1, 4000]]}, "a bond of shell-1_DME3 is with no atom"),
        ({"xyz_A": [[0.0, 0.0, None]] * 49}, "this is no list of snapshots"),
        ({"species": [["Li", 2]]}, "the atoms of shell-1_DME3 do not add up"),
        ({"charge_e": 1.5}, "the charge of shell-1_DME3 is no whole number"),
    ],
)
def test_broken_snapshots_are_refused_by_name(tmp_path, change, message):
    folder = tmp_path / "lifsi-dme"
    report_inputs.write_formulation(folder, report_inputs.BOTTLES["lifsi-dme"])
    path = folder / "298.15K" / "snapshots" / "snapshots.json"
    records, described = json.loads(path.read_text("utf-8")), Described.read(path.parents[1], schemas())
    path.write_text(json.dumps([{**records[0], **change}]), encoding="utf-8")
    described.write(path.parents[1], sorted(path.parent.iterdir()))  # broken by whoever wrote it, not afterwards
    with pytest.raises(LmbmdError) as raised:
        load_results(folder)
    assert message in str(raised.value) and "snapshots.json" in str(raised.value)


def test_a_shell_that_the_table_does_not_hold_is_left_out(results):
    (point,) = results.state_points
    other = dataclasses.replace(point, snapshots=({**point.snapshots[0], "label": "DME9"},))
    assert scenes.shell_scenes(other) == []
