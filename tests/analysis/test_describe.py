import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import chains
import numpy as np
import pandas as pd
import pytest
import systems
from quantum_shells import banded
from systems import DME, EC, FSI, LI, NA, NO3, TTE

from lmbmd.analysis import convergence as convergence_module
from lmbmd.analysis import first_shell
from lmbmd.analysis.clusters import ions
from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.analysis.describe import describe, primary_centre
from lmbmd.analysis.families import box_limited, schemas
from lmbmd.analysis.features import features
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.scattering.measured import Measured
from lmbmd.analysis.scattering.options import MeasuredCurve, ScatteringOptions
from lmbmd.analysis.scattering.sums import Scattering
from lmbmd.analysis.shells import cutoffs
from lmbmd.core.errors import LmbmdError
from lmbmd.data.contacts import ContactList
from lmbmd.data.counts import scarcity
from lmbmd.data.described import Described, TableSchema, descriptor_frame
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.literature.claims import ClaimsFile
from lmbmd.literature.judge import judge_claims
from lmbmd.numbers import doubt

QUICK = CompactnessOptions(frames=2, shuffles=2, neighbourhoods=2)
FEC = systems.Model("FEC", "additive", 0, (("C", ""), ("O", "O_carbonyl"), ("F", "F")))


def flat_rdf(atoms, n_frames=3):
    """An Rdf without structure: every cut-off falls back to 2.8 Å."""
    edges = np.arange(0, 10.01, 0.05)
    pairs = tuple((s.name, p) for s in atoms.species if s.role == "cation" for p in atoms.sites)
    pairs += tuple((s.name, p.name) for s in atoms.species if s.role == "cation" for p in atoms.species)
    g = np.ones((1, len(pairs), len(edges) - 1))
    return Rdf(edges, pairs, g, 0.001 * g, np.array([n_frames]), 10.0)


def by_hand(atoms, *replicas):
    """Runs of frames with contacts written by hand: one list of contact lists per replica."""
    runs = []
    for frames in replicas:
        table = ContactList([systems.frame(atoms, contacts, i) for i, contacts in enumerate(frames)], 5.0)
        runs.append((table, flat_rdf(atoms, len(frames))))
    return runs


def moving_liquid(counts, n_frames, seed=0, box=None, step=0.4):
    """Molecules as rigid balls on a random walk in a box that breathes; contacts and RDFs from the real search."""
    atoms = systems.atom_table(*counts)
    rng = np.random.default_rng(seed)
    box = np.eye(3) * 24.0 if box is None else box
    shape = rng.normal(0, 0.8, (len(atoms), 3)) * (np.diff(atoms.first_atom)[atoms.molecule] > 1)[:, None]
    place = rng.uniform(0, 1, (atoms.n_molecules, 3)) @ box
    frames = []
    for i in range(n_frames):
        place = place + rng.normal(0, step, place.shape)
        positions = (place[atoms.molecule] + shape).astype(np.float32)
        frames.append(Frame(i, 2.0 * i, positions, box * rng.uniform(0.99, 1.01)))
    return atoms, frames


def quick(runs, atoms, scattering=None, sample=(), energies=(), **options):
    chosen = DescribeOptions(compactness=QUICK, **options)
    return describe(runs, atoms, chosen, scattering=scattering, sample=sample, energies=energies)


def value(described, name, species=""):
    rows = described.descriptors
    found = rows[(rows.name == name) & (rows.species == species)]
    assert len(found) == 1, (name, species, len(found))
    return found.iloc[0]["value"]


# ---- exact numbers


@pytest.fixture(scope="module")
def small():
    """Four Li, three FSI, one NO3, three DME, two TTE; two replicas of two frames each, one frame with a bare Li."""
    atoms = systems.atom_table((LI, 4), (FSI, 3), (NO3, 1), (DME, 3), (TTE, 2))
    paired = [
        (0, ("FSI", 0), 1),
        (0, ("FSI", 0), 3),  # bidentate
        (1, ("FSI", 0), 2),
        (1, ("NO3", 0), 0),
        (1, ("DME", 0), 0),
        (1, ("DME", 0), 1),
        (2, ("DME", 1), 0),
    ]
    runs = by_hand(atoms, [paired, paired], [paired, [(0, ("DME", 2), 0)]])
    return atoms, runs, quick(runs, atoms)


def test_coordination_numbers_are_means_over_all_frames_of_all_replicas(small):
    _, _, d = small
    # per frame of kind one: FSI 2, NO3 1, DME 2 pairs over 4 Li; of kind two: DME 1
    assert value(d, "anion_cn", "FSI") == pytest.approx(3 / 4 * 2 / 4)
    assert value(d, "anion_cn", "NO3") == pytest.approx(3 / 4 * 1 / 4)
    assert value(d, "anion_cn") == pytest.approx(3 / 4 * 3 / 4)
    assert value(d, "solvent_cn", "DME") == value(d, "solvent_cn") == pytest.approx((3 * 2 / 4 + 1 / 4) / 4)
    assert value(d, "diluent_cn", "TTE") == value(d, "diluent_cn") == 0
    assert value(d, "donor_cn", "FSI:O") == pytest.approx(3 / 4 * 3 / 4)
    assert value(d, "donor_cn", "DME:O_ether") == pytest.approx((3 * 3 / 4 + 1 / 4) / 4)
    assert value(d, "bare_centre_fraction") == pytest.approx((3 * 1 / 4 + 3 / 4) / 4)
    assert value(d, "shell_anion_share") == pytest.approx(9 / (9 + 7))
    assert value(d, "denticity", "FSI") == pytest.approx(9 / 6)
    assert value(d, "multidentate_fraction", "FSI") == pytest.approx(0.5)


def test_selectivity_compares_shells_with_the_box(small):
    _, _, d = small
    # 6 FSI and 3 NO3 pairs against 3 FSI and 1 NO3 in the box
    assert value(d, "anion_enrichment", "FSI") == pytest.approx((6 / 9) / (3 / 4))
    assert value(d, "anion_enrichment", "NO3") == pytest.approx((3 / 9) / (1 / 4))
    assert value(d, "anion_selectivity", "FSI/NO3") == pytest.approx((6 / 3) / (3 / 1))


def test_no_name_or_value_depends_on_the_order_of_species():
    """A pair is named alike in the study of one bottle and in another's map, or they could not be compared."""
    frame = [(0, ("FSI", 0), 1), (0, ("EC", 0), 0), (1, ("NO3", 0), 0), (1, ("DME", 0), 0), (1, ("FSI", 0), 2)]
    told = []
    for order in ([LI, FSI, NO3, DME, EC], [LI, EC, DME, NO3, FSI]):
        atoms = systems.atom_table(*((one, 2) for one in order))
        found = quick(by_hand(atoms, [frame, []], [frame, frame]), atoms)
        rows = found.descriptors
        told.append(dict(zip(zip(rows.name, rows.species, strict=True), rows.value, strict=True)))
        told[-1] |= dict(found.tables["shells"][["label", "fraction"]].to_numpy())
    assert told[0].keys() == told[1].keys() and {("anion_selectivity", "FSI/NO3"), "DME1 FSI1 NO31"} < told[0].keys()
    of_contacts = ("anion_cn", "solvent_cn", "shell_fraction", "anion_enrichment", "anion_selectivity", "denticity")
    for name in (name for name in told[0] if isinstance(name, str) or name[0] in of_contacts):
        assert told[0][name] == pytest.approx(told[1][name], nan_ok=True), name


def test_free_and_bridging_molecules_are_shares_of_their_species(small):
    _, _, d = small
    assert value(d, "free_anion_fraction", "FSI") == pytest.approx((3 * 2 / 3 + 1) / 4)
    assert value(d, "bridging_anion_fraction", "FSI") == pytest.approx(3 / 4 / 3)
    assert value(d, "free_solvent_fraction", "DME") == pytest.approx((3 * 1 / 3 + 2 / 3) / 4)
    assert value(d, "free_diluent_fraction", "TTE") == 1
    assert value(d, "diluent_in_shell_fraction", "TTE") == value(d, "centres_with_diluent_fraction", "TTE") == 0


def test_three_conventions_stand_side_by_side(small):
    _, _, d = small
    expected = {
        "centre": [(3 * 2 / 4 + 1) / 4, 3 / 4 * 1 / 4, 3 / 4 * 1 / 4],
        "anion": [(3 * 2 / 4 + 1) / 4, 3 / 4 * 1 / 4, 3 / 4 * 1 / 4],
        "cluster": [(3 * 2 / 4 + 1) / 4, 0, 3 / 4 * 2 / 4],
    }
    for convention, fractions in expected.items():
        names = [f"{cls}_fraction_{convention}" for cls in ("ssip", "cip", "agg")]
        assert [value(d, name) for name in names] == pytest.approx(fractions), convention
        assert value(d, f"cip_agg_fraction_{convention}") == pytest.approx(1 - fractions[0])
    assert value(d, "agg_i_fraction_anion") == pytest.approx(3 / 4 * 1 / 4)
    assert value(d, "agg_ii_fraction_anion") == 0


def test_shell_types_are_ranked_and_a_bare_centre_is_one(small):
    _, _, d = small
    table = d.tables["shells"]
    assert table[["label", "fraction"]].to_numpy().tolist() == [
        ["bare", 6 / 16],
        ["DME1", 4 / 16],
        ["DME1 FSI1 NO31", 3 / 16],
        ["FSI1", 3 / 16],
    ]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table[table.label == "DME1 FSI1 NO31"][["n_DME", "n_TTE", "n_FSI", "n_NO3"]].to_numpy().tolist() == [
        [1, 0, 1, 1]
    ]
    assert value(d, "shell_fraction", "bare") == 6 / 16


def test_tables_repeat_the_descriptors(small):
    _, _, d = small
    cn = d.tables["cn"].set_index(["species", "site"]).value
    assert cn["FSI", ""] == value(d, "anion_cn", "FSI")
    assert cn["FSI", "O"] == value(d, "donor_cn", "FSI:O")
    states = d.tables["solvent_states"].set_index("species")
    assert list(states.index) == ["DME", "TTE"]
    assert states.free["DME"] == value(d, "free_solvent_fraction", "DME")
    middle = d.tables["sensitivity"].query("cutoff_shift_A == 0").set_index("quantity").value
    for name in ("total_cn", "agg_fraction_centre", "cip_fraction_anion", "cipa_compact_share"):
        rows = d.descriptors[d.descriptors.name == name]
        assert middle[name] == rows["value"].iloc[0]


def test_parts_of_every_distribution_sum_to_one(small):
    _, _, d = small
    shares = d.tables["speciation"].query("cls in ['SSIP', 'CIP', 'AGG']").groupby("convention").fraction.sum()
    assert shares.to_dict() == pytest.approx(dict.fromkeys(("centre", "anion", "cluster"), 1.0))
    agg = d.tables["speciation"].query("convention == 'anion'").set_index("cls").fraction
    assert agg["AGG-I"] + agg["AGG-II"] == pytest.approx(agg["AGG"])
    for table, keys in (("cn_histogram", ["species"]), ("ion_histogram", ["convention", "species"])):
        sums = d.tables[table].groupby(keys).fraction.sum()
        assert sums.to_numpy() == pytest.approx(np.ones(len(sums)))
    assert d.tables["shells"].fraction.sum() == pytest.approx(1)
    assert d.tables["solvent_states"][["free", "bound", "bridging"]].sum(axis=1).to_numpy() == pytest.approx([1, 1])
    histogram = d.tables["ion_histogram"].query("convention == 'anions_per_centre' and species == ''")
    assert (histogram.n * histogram.fraction).sum() == pytest.approx(value(d, "anion_cn"))


def test_a_repeated_frame_changes_no_mean(small):
    atoms, runs, d = small
    again = []
    for contacts, rdf in runs:
        frames = [f for f in contacts for _ in range(2)]
        frames = [
            systems.scattered(atoms, f.offsets, f.atom, f.distance, i, float(i), f.box, np.random.default_rng(0))
            for i, f in enumerate(frames)
        ]
        again.append((ContactList(frames, 5.0), rdf))
    twice = quick(again, atoms)
    kept = "cn$|fraction|share|denticity|enrichment|selectivity"
    same = d.descriptors[
        d.descriptors.name.str.contains(kept) & ~d.descriptors.name.str.contains("cluster|perco|cipa|second")
    ]
    assert len(same) > 30
    for row in same.itertuples():
        assert value(twice, row.name, row.species) == pytest.approx(row.value, rel=1e-12, nan_ok=True), row.name


def test_order_of_replicas_does_not_matter(small):
    atoms, runs, d = small
    swapped = quick(runs[::-1], atoms)
    a, b = (x.descriptors.set_index(["name", "species"])["value"].sort_index() for x in (d, swapped))
    pd.testing.assert_series_equal(a, b, rtol=1e-12)


# ---- against the real search


def test_coordination_by_donor_atom_equals_the_running_cn_at_the_same_radius():
    """RDF counts and contacts come from one search: at a bin's edge they agree exactly, for every site."""
    box = np.array([[25.0, 0, 0], [6.0, 23.0, 0], [-4.0, 5.0, 24.0]])
    atoms, frames = moving_liquid([(LI, 6), (FSI, 8), (DME, 10), (TTE, 6)], 6, box=box)
    run = find_contacts(frames, atoms, ContactOptions(search_radius_A=6.0))
    cutoffs = {"FSI:N": 3.5, "FSI:O": 2.5, "FSI:F": 3.0, "DME:O_ether": 4.0, "TTE:O_ether": 5.0, "TTE:F": 4.5}
    d = quick([run], atoms, cutoffs_A=cutoffs)
    table = d.tables["rdf"]
    for site, radius in cutoffs.items():
        cn = table[(table.centre == "Li") & (table.partner == site)]
        running = cn.cn.to_numpy()[np.searchsorted(cn.r_A.to_numpy(), radius) - 1]
        assert running > 0
        assert value(d, "donor_cn", site) == pytest.approx(running, rel=1e-12)


def test_molecules_relabelled_give_the_same_description():
    atoms, frames = moving_liquid([(LI, 6), (FSI, 6), (DME, 8)], 4, seed=3)
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(systems.molecules(atoms, s.name)) for s in atoms.species])
    atom = np.concatenate([np.arange(atoms.first_atom[m], atoms.first_atom[m + 1]) for m in order])
    moved = [Frame(f.index, f.time_ps, f.positions[atom], f.box) for f in frames]
    a, b = (quick([find_contacts(x, atoms)], atoms).descriptors.set_index(["name", "species"]) for x in (frames, moved))
    # Null models are drawn at random and errors of lifetimes depend on how centres are grouped.
    kept = [k for k in a.index if not re.search(r"_ps$|exchange|in_residence", k[0])]
    pd.testing.assert_series_equal(a["value"].loc[kept], b["value"].loc[kept], rtol=1e-5)


def test_wider_cutoffs_bind_more():
    atoms, frames = moving_liquid([(LI, 8), (FSI, 8), (DME, 8)], 5, seed=4)
    table = (
        quick([find_contacts(frames, atoms)], atoms)
        .tables["sensitivity"]
        .pivot(index="quantity", columns="cutoff_shift_A", values="value")
    )
    assert table.columns.tolist() == [-0.3, 0.0, 0.3]
    for quantity in ("total_cn", "agg_fraction_anion", "agg_fraction_centre", "agg_fraction_cluster"):
        assert table.loc[quantity].is_monotonic_increasing
    assert table.loc["total_cn", 0.3] > table.loc["total_cn", -0.3]


class ReadOnce:
    """A contact table that counts how often it is read and how many frames are alive."""

    search_radius_A = 5.0

    def __init__(self, frames):
        self.frames, self.n_frames, self.reads = frames, len(frames), 0

    def __iter__(self):
        self.reads += 1
        return iter(self.frames)


def test_contacts_of_each_replica_are_read_once(small):
    atoms, runs, _ = small
    tables = [ReadOnce(contacts.frames) for contacts, _ in runs]
    quick([(t, rdf) for t, (_, rdf) in zip(tables, runs, strict=True)], atoms)
    assert [t.reads for t in tables] == [1, 1]


def test_pairs_and_clusters_are_worked_out_once_per_frame_and_shift(liquid, monkeypatch):
    atoms, runs, _ = liquid
    calls = Counter()

    def counting(module, name):
        plain = getattr(module, name)

        def counted(*args):
            calls[name] += 1
            return plain(*args)

        monkeypatch.setattr(module, name, counted)

    counting(first_shell, "bonds")
    counting(first_shell, "ion_graph")
    counting(ions, "connect")
    quick(runs, atoms)
    frames_and_shifts = 3 * sum(contacts.n_frames for contacts, _ in runs)
    assert calls["bonds"] and max(calls.values()) <= frames_and_shifts, calls


def test_replicas_draw_their_own_random_numbers(liquid):
    """The same run twice is no second replica, but its null models are drawn anew; drawn again, they are the same."""
    atoms, runs, _ = liquid
    null = lambda *chosen: quick(chosen, atoms).tables["cipa"].null.dropna().tolist()  # noqa: E731
    once, twice = null(runs[0]), null(runs[0], runs[0])
    assert twice != pytest.approx(once, rel=1e-9)
    assert twice == null(runs[0], runs[0])


# ---- notes and verdicts


@pytest.fixture(scope="module")
def liquid():
    """Everything at once: two centres, two anions, solvent, diluent, additive; three replicas."""
    counts = [(LI, 10), (NA, 2), (FSI, 8), (NO3, 4), (DME, 12), (EC, 6), (TTE, 8), (FEC, 3)]
    runs = []
    for seed in range(3):
        atoms, frames = moving_liquid(counts, 12, seed)
        runs.append(find_contacts(frames, atoms))
    return atoms, runs, quick(runs, atoms)


def test_short_run_is_declared_too_short_to_be_converged(liquid):
    notes = [n for n in liquid[2].notes if n["topic"] == "convergence"]
    assert notes[0]["verdict"] == "too short"
    assert notes[0]["text"].startswith("This run is too short to be converged")
    assert notes[1]["text"].startswith("The shortest run samples 0.022 ns")
    length = liquid[2].tables["convergence"].iloc[0]
    assert (length.kind, length.verdict, length.value) == ("length", "too short", pytest.approx(0.022))


TOPICS = ("cutoff", "statistics", "cipa")


def test_fallbacks_rare_species_and_the_cipa_call_are_told(liquid):
    texts = {
        topic: [n["text"] for n in liquid[2].notes if n["topic"] == topic] for topic in ("cutoff", "statistics", "cipa")
    }
    assert any(text.startswith("Without a first minimum, 2.80 Å is the cut-off of Li–") for text in texts["cutoff"])
    assert texts["statistics"] == [
        scarcity(s, n) for s, n in (("Na", 2), ("FSI", 8), ("NO3", 4), ("EC", 6), ("TTE", 8), ("FEC", 3))
    ]
    assert len(texts["cipa"]) == 1


@pytest.mark.slow
def test_exchange_of_one_solvent_for_another_at_the_same_total_is_seen():
    """Each Li has one TTE at first and one DME at last: total CN is 1 throughout."""
    atoms = systems.atom_table((LI, 20), (FSI, 2), (DME, 20), (TTE, 20))
    one = lambda i, k, n=1000: ("DME", k) if i > n * (k + 0.5) / 20 else ("TTE", k)  # noqa: E731
    d = quick(by_hand(atoms, [[(k, one(i, k), 0) for k in range(20)] for i in range(1000)]), atoms)
    verdict = d.tables["convergence"].set_index("rule").verdict
    assert verdict["drift of total CN"] == "borderline"  # never changed
    drifting = [rule for rule in verdict.index if "solvent CN" in rule or "diluent CN" in rule]
    assert {verdict[rule] for rule in drifting} >= {"not converged"}
    series = d.tables["timeseries"].pivot(index="time_ps", columns="quantity", values="value")
    assert (series.solvent_cn + series.diluent_cn + series.anion_cn).to_numpy() == pytest.approx(1.0)
    assert series.diluent_cn.iloc[[0, -1]].tolist() == pytest.approx([1.0, 0.0], abs=0.05)


def test_second_shell_that_never_ends_leaves_the_separation_without_a_value():
    """g(r) of the FSI mass centres has its second maximum at 8.8 Å and does not fall again before the RDF ends."""
    atoms = systems.atom_table((LI, 4), (FSI, 4))
    ((contacts, rdf),) = by_hand(atoms, [[(0, ("FSI", 0), 0)], []])
    i, r = rdf.pair("Li", "FSI"), rdf.r_A
    g = rdf.g.copy()
    g[:, i] = 8 * np.exp(-((r - 4.2) ** 2) / 0.1) + 1.2 / (1 + np.exp(4 * (8 - r))) + 0.4 * np.exp(-((r - 8.8) ** 2))
    count = g * (1e4 * r**2 * (r[1] - r[0]))
    d = quick([(contacts, Rdf(rdf.edges_A, rdf.pairs, g, count, rdf.frames, rdf.reach_A))], atoms)
    edge = d.tables["cutoffs"].query("shell == 'second' and partner == 'FSI'").iloc[0]
    assert np.isnan(edge.cutoff_A) and edge.rule.startswith("none: ") and 8 < edge.peak_A < 9.5
    assert any(n["text"].startswith("There is no edge of the second shell of Li–FSI (") for n in d.notes)
    assert d.tables["separation"][["solvent_separated", "isolated"]].isna().all(axis=None)
    for name, species in (("second_shell_cn", "FSI"), ("isolated_centre_fraction", "Li")):
        row = d.descriptors[(d.descriptors.name == name) & (d.descriptors.species == species)].iloc[0]
        assert np.isnan(row["value"]) and "; no value: no" in row.method, row.method


def test_watched_quantities_are_those_that_the_box_can_have(liquid, small):
    expected = [
        "total_cn",
        "solvent_cn",
        "anion_cn",
        "diluent_cn",
        "cip_fraction_centre",
        "agg_fraction_centre",
        "agg_fraction_anion",
        "cluster_size_weight_average",
        "density_g_cm3",
    ]
    for d in (liquid[2], small[2]):
        assert list(dict.fromkeys(d.tables["timeseries"].quantity)) == expected
    judged = lambda d: d.tables["convergence"].rule.str.contains("density").any()  # noqa: E731
    assert judged(liquid[2])
    assert not judged(small[2])  # a box of fixed size


def test_diluent_that_never_leaves_is_told_and_one_that_comes_and_goes_is_not():
    atoms = systems.atom_table((LI, 4), (FSI, 4), (TTE, 6))
    rng = np.random.default_rng(1)
    stays = [[(0, ("TTE", 0), 0)] for _ in range(400)]
    moves = [[(k, ("TTE", k + rng.integers(2)), 0) for k in range(4) if rng.random() < 0.5] for _ in range(400)]
    stuck, short = (
        "The packing may have put the 0.25 TTE per Li there, and the run is too short to say",
        "The run is too short to say whether the 0.",
    )
    for frames, words in ((stays, stuck), (moves, short)):
        texts = [n["text"] for n in quick(by_hand(atoms, frames), atoms).notes if n["topic"] == "convergence"]
        assert sum(text.startswith(words) for text in texts) == 1, texts


def test_every_missing_number_has_its_reason(liquid):
    rows = liquid[2].descriptors
    silent = rows[rows["value"].isna() & ~rows.method.str.contains("; ")]
    assert silent.empty, silent
    ours = rows[
        ~rows.name.str.contains(
            "_ps$|diffusion|cluster|cipa|exchange|residence|percolating|^centre_|density_ratio|_per_ion"
        )
    ]
    silent = ours[ours.error.isna() & ~ours.method.str.contains("no value|no error")]
    assert silent.empty, silent
    assert not rows[["name", "species"]].duplicated().any()


def test_every_error_says_how_well_it_is_known(liquid):
    rows = liquid[-1].descriptors
    sampled, exact = rows.error > 0, rows.error == 0
    assert sampled.any() and exact.any()
    assert (rows.degrees_of_freedom[sampled] > 0).all() and np.isfinite(rows.degrees_of_freedom[sampled]).all()
    assert np.isposinf(rows.degrees_of_freedom[exact]).all() and rows.degrees_of_freedom[rows.error.isna()].isna().all()


@pytest.fixture(scope="module")
def polymer():
    """Chains that walk as balls do, one of them with tethered anions, and a salt."""
    mixed = systems.Chain("P(EO-STFSI)", (chains.SPACER, chains.STFSI, chains.SPACER))
    counts = [(LI, 10), (FSI, 8), (chains.peo(5), 4), (mixed, 2)]
    runs, sums, rng = [], [], np.random.default_rng(1)
    options = ScatteringOptions(q_max_per_A=1.0, n_blocks=3)
    for seed in range(2):
        atoms, frames = moving_liquid(counts, 12, seed)
        runs.append(find_contacts(frames, atoms))
        fold = Scattering(atoms, "Li", len(frames), options)
        for one in frames:
            fold.add(one, rng.integers(0, 4, atoms.n_units))
        sums.append(fold.result())
    said = MeasuredCurve(file="saxs.csv", radiation="xray", q_unit="1/Å", quantity="intensity")
    q = np.linspace(0.4, 0.9, 20)
    asked = AskedScattering(sums, options, [Measured(said, "saxs.csv", q, 1 + q, np.nan * q)])
    return atoms, runs, quick(runs, atoms, scattering=asked, energies=[banded(), banded()])


def test_a_box_with_chains_is_described_by_units_and_by_chains(polymer):
    atoms, _, found = polymer
    names = found.descriptors.name.tolist()
    # All neutral units together and two kinds of them; two kinds of chains.
    assert [names.count(name) for name in ("polymer_cn", "chain_run_units", "radius_of_gyration_A")] == [3, 2, 2]
    assert set(found.tables["chain_shells"].chain) == set(atoms.chains) == {"PEO", "P(EO-STFSI)"}
    assert value(found, "free_polymer_fraction", "EO") <= 1.0
    assert value(found, "chain_self_diffusion_m2_s", "PEO") is not None


def test_every_descriptor_is_documented_and_every_documented_one_exists(liquid, polymer):
    text = (Path(__file__).parents[2] / "docs/theory/descriptors.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `([a-zA-Z0-9_.]+)` \| [^|]* \| ([^|]*) \|", text, flags=re.M))
    atoms, frames = moving_liquid([(LI, 4), (FSI, 4), (DME, 5)], 12, 0)
    charge = np.where(atoms.element == "O", 0.0, atoms.charge_e)
    charge[np.flatnonzero(atoms.species_id == atoms.species_index("DME"))] = np.tile([0.5, -0.5, 0, 0, 0, 0], 5)
    polar = quick([find_contacts(frames, atoms)], replace(atoms, charge_e=charge), sample=frames)
    every = pd.concat([liquid[2].descriptors, polymer[2].descriptors, polar.descriptors])
    emitted = dict(zip(every.name, every.unit, strict=True))
    assert set(documented) == set(emitted)
    for name, unit in emitted.items():
        assert documented[name].strip() == unit, name


def test_every_table_is_as_its_schema_says_and_every_schema_has_its_table(liquid, polymer):
    not_always = {name for name in schemas() if name.startswith(("chain_", "scattering", "energies", "bands"))}
    assert set(liquid[2].tables) == set(schemas()) - not_always and set(polymer[2].tables) == set(schemas())
    for name, table in (*liquid[2].tables.items(), *polymer[2].tables.items()):
        schemas()[name].check(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="error"), "the table 'cn' lacks error"),
        (lambda t: t.assign(colour="red"), "the table 'cn' has the unknown column colour"),
        (lambda t: t[["species", "centre", *t.columns[2:]]], "the table 'cn' has its columns in another order"),
        (lambda t: t.assign(value="many"), "the table 'cn' has 'many' in its column 'value', which is no number"),
        (lambda t: t.assign(doubt=0.0), "the table 'cn' has 0.0 in its column 'doubt', which is no text"),
    ],
)
def test_a_table_that_is_not_as_its_schema_says_is_not_written(liquid, tmp_path, change, message):
    d = liquid[2]
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(d, tables={"cn": change(d.tables["cn"])}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_table_of_another_version_is_not_read(liquid, tmp_path):
    liquid[2].write(tmp_path)
    columns = {"hesitation" if name == "doubt" else name: kind for name, kind in schemas()["cn"].columns.items()}
    newer = {**schemas(), "cn": replace(schemas()["cn"], columns=columns)}
    with pytest.raises(LmbmdError, match="the table 'cn' lacks hesitation and has the unknown column doubt"):
        Described.read(tmp_path, newer)


def test_lithium_is_looked_from_unless_another_centre_is_asked_for(liquid):
    atoms, runs, d = liquid
    assert d.facts["centre"] == "Li"
    sodium = quick(runs[:1], atoms, centre="Na")
    assert sodium.facts["centre"] == "Na"
    assert set(sodium.tables["cn"].centre) == {"Na"}
    assert primary_centre(systems.atom_table((NA, 1), (FSI, 1))) == "Na"


def test_single_frame_gives_numbers_without_errors():
    atoms, frames = moving_liquid([(LI, 5), (FSI, 5), (DME, 5)], 1)
    d = quick([find_contacts(frames, atoms)], atoms)
    row = d.descriptors[d.descriptors.name == "total_cn"].iloc[0]
    assert np.isfinite(row["value"]) and np.isnan(row.error)
    assert row.method.endswith("no error: one sample")
    assert d.notes[0]["verdict"] == "too short"


def test_liquid_without_anions_is_described():
    atoms, frames = moving_liquid([(LI, 3), (DME, 8)], 4)
    d = quick([find_contacts(frames, atoms)], atoms)
    assert value(d, "ssip_fraction_centre") == value(d, "ssip_fraction_cluster") == 1
    row = d.descriptors[d.descriptors.name == "agg_fraction_anion"].iloc[0]
    assert np.isnan(row["value"]) and "no value: there is no anion in the box" in row.method


def test_frames_at_irregular_times_cost_the_lifetimes_only():
    atoms, frames = moving_liquid([(LI, 4), (FSI, 4), (DME, 5)], 5)
    frames[3:] = [Frame(f.index, f.time_ps + 7.0, f.positions, f.box) for f in frames[3:]]
    d = quick([find_contacts(frames, atoms)], atoms)
    assert "residence" not in d.tables
    assert any(n["text"].startswith("Lifetimes were not computed. Replica 1: frame 3") for n in d.notes)
    assert value(d, "total_cn") >= 0


def test_replicas_written_at_different_intervals_cost_the_lifetimes_only():
    atoms, frames = moving_liquid([(LI, 4), (FSI, 4), (DME, 5)], 5)
    slower = [Frame(f.index, 3.0 * f.time_ps, f.positions, f.box) for f in frames]
    d = quick([find_contacts(x, atoms) for x in (frames, slower)], atoms)
    assert any(n["text"].startswith("Lifetimes were not computed. replica 2: frames are 6 ps apart") for n in d.notes)


def test_long_series_are_thinned_to_means_of_stretches():
    atoms = systems.atom_table((LI, 1), (FSI, 1), (DME, 1))
    bound, free = [(0, ("DME", 0), 0)], []
    d = quick(by_hand(atoms, [bound if i % 6 < 2 else free for i in range(1200)]), atoms)
    series = d.tables["timeseries"].query("quantity == 'total_cn'")
    assert len(series) == 400
    assert series.time_ps.iloc[:2].tolist() == [1.0, 4.0]
    assert series.value.iloc[:4].tolist() == pytest.approx([2 / 3, 0, 2 / 3, 0])


# ---- bad input


def test_bad_input_is_refused_with_a_remedy(small):
    atoms, runs, _ = small
    other = systems.atom_table((LI, 4), (FSI, 4), (NO3, 1), (DME, 3), (TTE, 2))
    molecular = systems.atom_table((systems.Model("EMIM", "cation", 1, (("C", ""), ("N", "N"))), 2), (FSI, 2))
    two = systems.atom_table((NA, 1), (systems.Model("Na2", "cation", 1, (("Na", ""),)), 1), (FSI, 2))
    empty = [(ContactList([], 5.0), flat_rdf(atoms))]
    far = {"FSI:O": 4.9}
    for error, message, remedy in (
        (lambda: describe([], atoms), "there is no run to describe", "Run the contacts stage first"),
        (lambda: quick(runs, other), "contacts are of another box than the atom table", "the same molecules"),
        (lambda: quick(runs, atoms, centre="Lithium"), "'Lithium' is no centre of this box", "Valid: Li"),
        (lambda: quick(runs, atoms, cutoffs_A=far), "4.90 Å, plus the shift of 0.3 Å is beyond the", "Give smaller"),
        (lambda: quick(runs, atoms, cutoffs_A={"FSI-P": 2.0}), "there is no donor site 'FSI-P'", "Did you mean"),
        (lambda: quick(empty, atoms), "contact table holds no frame", "Run the contacts stage again"),
        (lambda: primary_centre(molecular), "there is no monatomic cation to look from", "role of 'cation'"),
        (lambda: primary_centre(two), "there are several centres: Na, Na2", "with the option 'centre'"),
    ):
        with pytest.raises(LmbmdError) as caught:
            error()
        assert message in str(caught.value)
        assert remedy in caught.value.remedy


# ---- files


def test_description_is_read_back_as_it_was_written(liquid, tmp_path):
    d = liquid[2]
    d.write(tmp_path)
    back = Described.read(tmp_path, schemas())
    pd.testing.assert_frame_equal(back.descriptors, d.descriptors)
    assert back.notes == d.notes
    assert back.facts == json.loads(json.dumps(d.facts))
    assert set(back.tables) == set(d.tables)
    for name, table in d.tables.items():
        pd.testing.assert_frame_equal(back.tables[name], table, check_dtype=False, check_exact=True, obj=name)
    assert (tmp_path / "descriptors.csv").read_text("utf-8").splitlines()[0].startswith('"name","species","value"')


def test_words_that_look_like_numbers_or_nothing_stay_words(tmp_path):
    table = pd.DataFrame(
        {"label": ["nan", "1e5", "", 'a,"b"\n'], "value": [np.nan, 1.5, np.inf, -0.0], "met": [True, None, False, None]}
    )
    odd = {"odd": TableSchema("odd", {"label": "text", "value": "number", "met": "truth"})}
    Described(descriptor_frame([]), {"odd": table}, schemas=odd).write(tmp_path)
    back = Described.read(tmp_path, odd).tables["odd"]
    assert back.label.tolist() == table.label.tolist()
    assert back.value.tolist()[1:] == table.value.tolist()[1:] and np.isnan(back.value[0])
    assert back.met.tolist() == [True, None, False, None]


def test_tables_of_an_earlier_description_disappear(liquid, tmp_path):
    d = liquid[2]
    Described(d.descriptors, {"rdf": d.tables["rdf"], "cn": d.tables["cn"]}, schemas=schemas()).write(tmp_path)
    Described(d.descriptors, {"cn": d.tables["cn"]}, schemas=schemas()).write(tmp_path)
    assert [p.name for p in (tmp_path / "tables").iterdir()] == ["cn.csv"]


def test_folder_without_a_description_is_a_readable_error(tmp_path):
    with pytest.raises(LmbmdError, match="this is no description of a state point") as caught:
        Described.read(tmp_path, schemas())
    assert caught.value.where == str(tmp_path / "described.json")
    with pytest.raises(ValueError, match="no name of a table"):
        Described(pd.DataFrame(), {"../evil": pd.DataFrame()}).write(tmp_path)


def test_what_the_box_limits_is_described(liquid):
    assert len(box_limited()) == 10
    assert box_limited() <= set(liquid[2].descriptors.name)


def test_options_come_back_from_plain_data():
    options = DescribeOptions(cutoffs_A={"FSI:O": 2.7}, compactness=QUICK)
    atoms, frames = moving_liquid([(LI, 3), (FSI, 3), (DME, 3)], 2)
    facts = describe([find_contacts(frames, atoms)], atoms, options).facts
    assert DescribeOptions.model_validate(json.loads(json.dumps(facts["options"]))) == options
    assert DescribeOptions.model_validate({}) == DescribeOptions()


def test_no_number_outcome_or_verdict_hangs_on_a_sentence(liquid, tmp_path, monkeypatch):
    """End to end, from contacts to claims, with every sentence of a doubt or a rule turned into gibberish."""

    def everything(folder):
        quick(runs, atoms).write(folder)
        read = Described.read(folder, schemas())
        table = features([("bottle", 300.0, {"counts": {}}, read)])
        return read, table, judge_claims([file], table)

    atoms, runs, described = liquid
    numbers = [(row.name, row.species) for row in described.descriptors.itertuples()]
    common = {"text": "t", "source": {"of": "p"}, "formulation": "bottle", "kind": "value", "range": [0.0, 1e9]}
    claims = [
        {**common, "id": f"c{k}", "number": {"name": name, "species": species}}
        for k, (name, species) in enumerate(numbers)
    ]
    file = ClaimsFile.model_validate({"sources": {"p": {"title": "P"}}, "claims": claims})
    plain = everything(tmp_path / "plain")
    monkeypatch.setattr(doubt, "SENTENCES", {kind: f"zq{k} decayed; no value: " for k, kind in enumerate(doubt.Kind)})
    monkeypatch.setattr(cutoffs, "_RULES", dict.fromkeys(cutoffs.Basis, "fallback: zq {why}"))
    monkeypatch.setattr(convergence_module, "RULES", dict.fromkeys(convergence_module.RULES, "zq {about}"))
    odd = everything(tmp_path / "odd")
    assert plain[0].verdict == odd[0].verdict
    assert [note.get("verdict") for note in plain[0].notes] == [note.get("verdict") for note in odd[0].notes]
    words = {"method", "doubt", "outcome", "rule", "text", "reason", "source"}
    pairs = [(plain[0].descriptors, odd[0].descriptors), (plain[1], odd[1]), (plain[2], odd[2])]
    pairs += [(plain[0].tables[name], odd[0].tables[name]) for name in plain[0].tables]
    for one, other in pairs:
        kept = [c for c in one.columns if c not in words and not c.endswith("_doubt") and c != "definition"]
        pd.testing.assert_frame_equal(one[kept], other[kept])
    assert (plain[0].descriptors.method != odd[0].descriptors.method).any()
