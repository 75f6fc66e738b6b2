"""Other people's trajectories with other people's answers. They are not in this repository: set LMBMD_REFERENCE_DATA
to a folder with ``bn_fec`` (the test data of solvation_analysis 0.4.2), ``ether_carbonate_final_frames`` (doi
10.1039/D5YA00154D) and ``mg_tfsi_dme`` (mdproptools), each with its ``expected.yaml``, ``computed_bruteforce*.yaml``
and ``ref_*.csv``.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from lmbmd.analysis.clusters.ions import ion_graph, ions_of
from lmbmd.analysis.dynamics.motion import Motion
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.trajectory import open_universe, species_map
from lmbmd.trajectory.foreign import open_foreign

FOLDER = os.environ.get("LMBMD_REFERENCE_DATA")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="LMBMD_REFERENCE_DATA is not set"),
    pytest.mark.filterwarnings("ignore"),
]

ION = {"Li": {"resname": "LI"}}
ETHER = {
    "FSI": {"resname": "FSI", "role": "anion", "sites": {"O": "O", "N": "N", "F": "F"}},
    "DPE": {"resname": "DPE", "role": "solvent", "sites": {"O": "O"}},
}
MAPS = {
    "bn_fec": {
        "centre": "Li",
        "frame_interval_ps": 1,
        "species": {
            "Li": {"smiles": "[Li+]"},
            "PF6": {"smiles": "F[P-](F)(F)(F)(F)F", "role": "anion", "sites": {"F": "F", "P": "P"}},
            "BN": {"smiles": "CCCC#N", "role": "solvent", "sites": {"N": "N", "C": "C", "H": "H"}},
            "FEC": {
                "smiles": "O=C1OCC(F)O1",
                "role": "solvent",
                "sites": {"Ocarbonyl": "[OX1]", "Oring": "[OX2]", "F": "F", "C": "C", "H": "H"},
            },
        },
    },
    "mg_tfsi_dme": {
        "centre": "Mg",
        "frame_interval_ps": 50,
        "species": {
            "Mg": {"resname": "MG"},
            "TFSI": {"resname": "TFS", "role": "anion", "sites": {"O": "O", "N": "N", "F": "F"}},
            "DME": {"resname": "DME", "role": "solvent", "sites": {"O": "O"}},
        },
    },
    "DPE_1M": {"centre": "Li", "species": ION | ETHER},
    "DPE_4M": {"centre": "Li", "species": ION | ETHER},
    "ECDEC_1M": {
        "centre": "Li",
        "species": ION
        | {
            "PF6": {"resname": "PF6", "role": "anion", "sites": {"F": "F", "P": "P"}},
            "EC": {"resname": "EC", "role": "solvent", "sites": {"O": "O"}},
            "DEC": {"resname": "DEC", "role": "solvent", "sites": {"O": "O"}},
        },
    },
}
FILES = {
    "bn_fec": ("bn_fec", "bn_fec.data", "bn_fec_short_wrap.dcd"),
    "mg_tfsi_dme": ("mg_tfsi_dme", "mg_tfsi_dme.pdb", "mg_tfsi_dme_unwrapped.dcd"),
    **{s: ("ether_carbonate_final_frames", f"{s}_final.pdb") for s in ("DPE_1M", "DPE_4M", "ECDEC_1M")},
}
_made = {}


def system(name):
    """Atoms, contacts and RDFs of one of the sets, read once."""
    if name not in _made:
        folder, *files = FILES[name]
        universe = open_universe(*[Path(FOLDER) / folder / file for file in files])
        atoms, frames = open_foreign(universe, species_map.from_mapping(MAPS[name]))
        _made[name] = (atoms, *find_contacts(frames, atoms))
    return _made[name]


def answers(name, file="expected.yaml"):
    return yaml.safe_load((Path(FOLDER) / FILES[name][0] / file).read_text(encoding="utf-8"))


def molecules_within(name, radii):
    """For each centre and frame, how many molecules of each species have a site within that species' radius."""
    atoms, contacts, _ = system(name)
    names = [s.name for s in atoms.species]
    for frame in contacts:
        counts = [Counter() for _ in atoms.centres]
        species = atoms.species_id[frame.atom]
        near = frame.distance <= np.array([radii.get(n, 0.0) for n in names])[species]
        pairs = {(c, atoms.molecule[a]) for c, a in zip(frame.row[near], frame.atom[near], strict=True)}
        for c, molecule in pairs:
            counts[c][names[atoms.molecule_species[molecule]]] += 1
        yield counts, pairs


RDFS = [
    (
        "bn_fec",
        "bn_fec/ref_rdf_Li-{}.csv",
        {
            "F_FEC": "FEC:F",
            "F_PF6": "PF6:F",
            "Li": "Li",
            "N_BN": "BN:N",
            "Ocarbonyl_FEC": "FEC:Ocarbonyl",
            "Oring_FEC": "FEC:Oring",
            "P_PF6": "PF6:P",
        },
    ),
    (
        "mg_tfsi_dme",
        "mg_tfsi_dme/ref_rdf_Mg-{}.csv",
        {"F_TFSI": "TFSI:F", "Mg": "Mg", "N_TFSI": "TFSI:N", "O_DME": "DME:O", "O_TFSI": "TFSI:O"},
    ),
    *[
        (
            s,
            f"ether_carbonate_final_frames/ref_{s}_rdf_Li-{{}}.csv",
            {"O_DPE": "DPE:O", "O_FSI": "FSI:O", "F_FSI": "FSI:F", "N_FSI": "FSI:N", "Li": "Li"},
        )
        for s in ("DPE_1M", "DPE_4M")
    ],
    (
        "ECDEC_1M",
        "ether_carbonate_final_frames/ref_ECDEC_1M_rdf_Li-{}.csv",
        {"O_ECall": "EC:O", "O_DECall": "DEC:O", "F_PF6": "PF6:F", "P_PF6": "PF6:P", "Li": "Li"},
    ),
]


@pytest.mark.parametrize(
    ("name", "file", "partner"),
    [(name, pattern.format(key), partner) for name, pattern, keys in RDFS for key, partner in keys.items()],
    ids=lambda value: str(value).rpartition("/")[2],
)
def test_rdfs_and_running_coordination_numbers_are_those_of_another_program(name, file, partner):
    atoms, _, rdf = system(name)
    centre = MAPS[name]["centre"]
    r, g, cn = np.loadtxt(Path(FOLDER) / file, delimiter=",", skiprows=1, unpack=True)
    used = int((r < rdf.reach_A).sum())
    np.testing.assert_allclose(r[:used], rdf.r_A[:used], atol=1e-9)
    ours_g, ours_cn = (curve[:used] for curve in rdf.mean(rdf.pair(centre, partner)))
    # That program works in float32: a pair within 1e-6 Å of the edge of a bin may fall on its other side. Of some
    # 1e5 pairs per Å at most a handful can; else curves agree to the five decimals that are printed.
    one_pair = 1 / (atoms.count(centre) * rdf.frames.sum())
    difference = np.abs(ours_cn - cn[:used])
    assert difference.max() < one_pair + 5.1e-6
    same = difference < 5.1e-6
    assert (~same).sum() <= 3
    whole_bin = same & np.append(True, same[:-1])
    # It divides by the mean of the volumes; boxes read from DCD and PDB files differ in the sixth digit.
    np.testing.assert_allclose(ours_g[whole_bin], g[:used][whole_bin], rtol=2e-6, atol=5.1e-6)


def test_butyronitrile_coordination_numbers_and_pairing_are_the_published_ones():
    published = answers("bn_fec")["published_tutorial"]
    shells = [
        counts for frame, _ in molecules_within("bn_fec", {"PF6": 2.6, "BN": 2.65, "FEC": 2.75}) for counts in frame
    ]
    for species, cn in published["coordination_numbers"].items():
        assert np.mean([shell[species] for shell in shells]) == pytest.approx(cn, abs=1e-12)
    for species, fraction in published["pairing"].items():
        assert np.mean([shell[species] > 0 for shell in shells]) == pytest.approx(fraction, abs=1e-12)
    found = Counter("_".join(f"{s}{shell[s]}" for s in ("BN", "FEC", "PF6") if shell[s]) for shell in shells)
    for label, fraction in published["speciation_fraction"].items():
        assert found[label] / len(shells) == pytest.approx(fraction, abs=5e-7), label


def test_butyronitrile_networks_have_the_published_sizes():
    published = answers("bn_fec")["published_network"]["network_sizes_by_frame"]
    for f, (_, pairs) in enumerate(molecules_within("bn_fec", {"PF6": 2.6})):
        groups = {node: {node} for c, m in pairs for node in (("Li", c), ("PF6", m))}
        for c, m in pairs:
            joined = groups["Li", c] | groups["PF6", m]
            groups |= dict.fromkeys(joined, joined)
        sizes = Counter(len(group) for group in {frozenset(group) for group in groups.values()})
        assert {size: sizes[size] for size in published[f]} == published[f]
        assert sum(sizes.values()) == sum(published[f].values())


def test_magnesium_shells_of_one_frame_are_the_published_ones():
    published = answers("mg_tfsi_dme")["published"]["frame50_rcut2p3_shells"]
    frames = list(molecules_within("mg_tfsi_dme", {"DME": 2.3, "TFSI": 2.3}))
    assert len(frames) == 101
    shells = Counter("+".join(f"{s[k]}{k}" for k in ("DME", "TFSI") if s[k]) for s in frames[50][0])
    assert {label: n / 33 for label, n in shells.items()} == pytest.approx(published)


@pytest.mark.parametrize("name", ["DPE_1M", "DPE_4M", "ECDEC_1M"])
def test_final_frames_agree_with_published_time_averages_within_one_frame(name):
    published = answers(name)["published"]["cn"][{"ECDEC_1M": "EC1_DEC1_1M"}.get(name, name)]
    rdf = system(name)[2]
    at = {"LiO_solvent": ("DPE:O", 3.0), "LiO_FSI": ("FSI:O", 3.0), "LiO_EC": ("EC:O", 3.5), "LiF_PF6": ("PF6:F", 3.0)}
    compared = 0
    for key, (partner, radius) in at.items():
        if key in published:
            cn = rdf.mean(rdf.pair("Li", partner))[1]
            # One frame of 75 (301) Li⁺ against 1 ns: three standard errors of a mean of Poisson counts.
            allowed = 3 * np.sqrt(published[key] / system(name)[0].count("Li"))
            assert cn[round(radius * 20) - 1] == pytest.approx(published[key], abs=allowed), key
            compared += 1
    assert compared == 2


def test_unwrapped_and_wrapped_copies_of_a_trajectory_have_the_same_contacts():
    _, wrapped, _ = system("bn_fec")
    files = [Path(FOLDER) / "bn_fec" / file for file in ("bn_fec.data", "bn_fec_short_unwrap.dcd")]
    atoms, frames = open_foreign(open_universe(*files), species_map.from_mapping(MAPS["bn_fec"]))
    unwrapped, _ = find_contacts(frames, atoms)
    seen = defaultdict(int)
    for a, b in zip(wrapped, unwrapped, strict=True):
        one, other = (dict(zip(zip(f.row, f.atom, strict=True), f.distance, strict=True)) for f in (a, b))
        # float32 positions tens of Å from the origin: only a pair at the very radius may come or go.
        for pair in one.keys() ^ other.keys():
            assert abs(one.get(pair, other.get(pair)) - 5.0) < 5e-5
        for pair in one.keys() & other.keys():
            assert one[pair] == pytest.approx(other[pair], abs=5e-5)
            seen["pairs"] += 1
    assert seen["pairs"] > 1000


@pytest.mark.parametrize(("name", "largest", "rank"), [("DPE_1M", [130, 10, 10], 1), ("DPE_4M", [602], 3)])
def test_the_great_clusters_of_dipropyl_ether_percolate(name, largest, rank):
    """At 3.0 Å from O and N. The 130 ions reach their own image along one direction, so they have no diameter."""
    atoms, contacts, _ = system(name)
    (frame,) = contacts
    donors = [atoms.sites.index(site) for site in ("FSI:O", "FSI:N")]
    shell = frame.within(np.where(np.isin(atoms.site_id[frame.atom], donors), 3.0, 0.0))
    graph = ion_graph(shell, atoms, ions_of(atoms))
    assert sorted(graph.size, reverse=True)[: len(largest)] == largest
    assert graph.rank[np.argmax(graph.size)] == rank
    assert (graph.rank[graph.size < largest[0]] == 0).all()


def test_butyronitrile_clusters_have_the_published_sizes():
    published = answers("bn_fec")["published_network"]["network_sizes_by_frame"]
    atoms, contacts, _ = system("bn_fec")
    fluorine = atoms.sites.index("PF6:F")
    for f, frame in enumerate(contacts):
        shell = frame.within(np.where(atoms.site_id[frame.atom] == fluorine, 2.6, 0.0))
        sizes = Counter(ion_graph(shell, atoms, ions_of(atoms)).size.tolist())
        assert {size: sizes[size] for size in published[f]} == published[f]


def displacements(name):
    """What the fold of motion finds."""
    atoms, contacts, _ = system(name)
    fold, ions = Motion(atoms, atoms.species[atoms.species_id[atoms.centres[0]]].name), ions_of(atoms)
    for frame in contacts:
        fold.add(FirstShell(frame.within(2.3), atoms, ions))
    return atoms, fold.result()


def windowed(path):
    """Mean squared displacement over all origins and particles, by lag in frames; path (frames, particles, 3)."""
    squares = [((path[lag:] - path[: len(path) - lag]) ** 2).sum(axis=-1).mean() for lag in range(1, len(path))]
    return np.append(0.0, squares)


def test_mean_squared_displacements_are_those_of_others():
    atoms, found = displacements("mg_tfsi_dme")
    path = found.paths_A.astype(float)
    folder = Path(FOLDER) / "mg_tfsi_dme"
    theirs = np.loadtxt(folder / "ref_msd.csv", delimiter=",", skiprows=1)
    for k, name in enumerate(("DME", "TFSI", "Mg")):
        mine = windowed(path[:, atoms.molecule_species == atoms.species_index(name)])
        # One step of a DME, of 180,000, goes half round the box within 50 ps: it cannot be told from its image, and
        # shifts the mass centre of all by 0.07 Å.
        assert mine == pytest.approx(theirs[:, 1 + 2 * k], rel=2e-3, abs=1e-2)
    # From the first frame alone; the published coefficient of DME is of a line through the origin and such averages.
    for k, name in enumerate(("DME", "TFSI", "Mg")):
        mine = (path[:, atoms.molecule_species == atoms.species_index(name)] ** 2).sum(axis=-1).mean(axis=1)
        assert mine == pytest.approx(theirs[:, 2 + 2 * k], rel=5e-3, abs=1e-2)
    time, mine = theirs[:, 0], windowed(path[:, atoms.molecule_species == atoms.species_index("DME")])
    published = answers("mg_tfsi_dme")["published"]["D_m2_s"]["dme"]
    assert (time * mine).sum() / (time**2).sum() / 6 * 1e-8 == pytest.approx(published, rel=0.03)


def test_the_displacement_of_charge_is_that_of_others():
    atoms, found = displacements("mg_tfsi_dme")
    charge = np.array([s.charge for s in atoms.species], float)
    current = np.einsum("s,tsk->tk", charge, found.species_A)
    theirs = np.loadtxt(Path(FOLDER) / "mg_tfsi_dme" / "ref_charge_msd.csv", delimiter=",", skiprows=1)
    assert windowed(current[:, None]) == pytest.approx(theirs[:, 1], rel=1e-3, abs=0.5)
