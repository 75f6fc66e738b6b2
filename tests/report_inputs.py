"""Made-up but realistic inputs of a report, with the tables and files that the stages write."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lmbmd.analysis.families import schemas
from lmbmd.data.described import DESCRIPTOR_COLUMNS, Described, TableSchema
from lmbmd.formulation.composition import Composition, Ingredient, Realised
from lmbmd.numbers.doubt import SURE, Doubt, Kind, told
from lmbmd.report.inputs import Results
from lmbmd.simulate.protocol import Protocol

BOTTLES = {
    "lifsi-dme": {
        "title": "1 M LiFSI in DME",
        "counts": {"Li": 40, "FSI": 40, "DME": 350},
        "roles": {"Li": "cation", "FSI": "anion", "DME": "solvent"},
        "cn": {"FSI": 1.15, "DME": 2.42},
        "anion_classes": (0.21, 0.52, 0.27),
        "shells": {
            "DME3": 0.31,
            "DME2 FSI1": 0.27,
            "DME2 FSI2": 0.16,
            "DME1 FSI2": 0.09,
            "DME1 FSI3": 0.05,
            "FSI4": 0.01,
        },
        "density": 0.985,
        "molarity": 1.012,
        "edge": 40.3,
    },
    "lifsi-dme-tte": {
        "title": "LiFSI : DME : TTE = 1 : 1.2 : 3 (LHCE)",
        "counts": {"Li": 50, "FSI": 50, "DME": 60, "TTE": 150},
        "roles": {"Li": "cation", "FSI": "anion", "DME": "solvent", "TTE": "diluent"},
        "cn": {"FSI": 2.86, "DME": 1.17, "TTE": 0.018},
        "anion_classes": (0.03, 0.12, 0.85),
        "shells": {
            "DME1 FSI3": 0.34,
            "DME1 FSI2": 0.19,
            "DME2 FSI2": 0.13,
            "FSI4": 0.11,
            "DME2 FSI1": 0.07,
            "FSI3": 0.05,
            "DME1 FSI4": 0.04,
            "DME3": 0.01,
            "DME1 FSI2 TTE1": 0.005,
            "FSI2": 0.004,
            "FSI5": 0.002,
        },
        "density": 1.462,
        "molarity": 1.49,
        "edge": 38.1,
    },
}
SITES = {"FSI": ("FSI:O", "FSI:N", "FSI:F"), "DME": ("DME:O_ether",), "TTE": ("TTE:O_ether", "TTE:F")}
RECIPE = {
    "source": "made up for tests, after doi:10.1016/j.joule.2018.05.002",
    "notes": "",
    "assumptions": ["The ratio is read as a mole ratio."],
}
MANIFEST = {
    "name": "sage-clp",
    "version": "1.0.0",
    "title": "A made-up set",
    "nonbonded": {"combining_rule": "Lorentz-Berthelot", "cut_off_A": 9.0},
    "species": {
        name: {"sources": [{"what": f"Parameters of {name}", "doi": "10.1021/jp9120468"}], "charge_method": "published"}
        for name in ("Li", "FSI", "DME", "TTE", "EC")
    },
}


def write_study(folder: Path, temperatures_K: tuple[float, ...] = (298.15,), names: tuple[str, ...] = ()) -> Path:
    """Write ``results/`` for the bottles of ``BOTTLES``; returns the results folder."""
    for name in names or BOTTLES:
        write_formulation(folder / "results" / name, BOTTLES[name], temperatures_K)
    return folder / "results"


def write_formulation(folder: Path, bottle: dict, temperatures_K: tuple[float, ...] = (298.15,)) -> None:
    rng = np.random.default_rng(7)
    composition(folder.name, bottle).write(folder / "composition.json")
    for temperature in temperatures_K:
        point = folder / f"{temperature:g}K"
        write_snapshots(point / "snapshots", bottle)
        described(bottle, rng, temperature).write(point, sorted((point / "snapshots").iterdir()))
        for replica in (1, 2):
            run = point / f"r{replica}"
            run.mkdir()
            state(bottle, temperature, rng).to_csv(run / "state.csv", index=False)
            state(bottle, temperature, rng, n=400).to_csv(run / "equilibration.csv", index=False)
            (run / "run.json").write_text(json.dumps(run_record(replica)), encoding="utf-8")
            (run / "spec.json").write_text(json.dumps(spec_record(temperature, replica)), encoding="utf-8")


def molecule(name: str) -> tuple[list[str], np.ndarray, set[tuple[int, int]]]:
    """Elements, positions in Å and bonds of a shipped species, from the PDB file of the newest parameter set."""
    folder = sorted((Path(__file__).parent.parent / "force_fields").glob("sage-clp-*"))[-1]
    lines = (folder / f"{name}.pdb").read_text("utf-8").splitlines()
    atoms = [line for line in lines if line.startswith(("ATOM", "HETATM"))]
    place = {int(line[6:11]): k for k, line in enumerate(atoms)}
    xyz = np.array([[float(line[i : i + 8]) for i in (30, 38, 46)] for line in atoms])
    bonds = set()
    for line in lines:
        if line.startswith("CONECT"):
            first, *others = (place[int(line[i : i + 5])] for i in range(6, len(line.rstrip()), 5))
            bonds |= {(min(first, other), max(first, other)) for other in others}
    return [line[76:78].strip() for line in atoms], xyz - xyz.mean(axis=0), bonds


def snapshot(name: str, label: str, molecules: list[str], spread_A: float) -> dict:
    """A made-up cut-out: the molecules on a spiral about the first ion, each with its first heteroatom in contact."""
    element, xyz, species, bonds, contacts = [], [], [], [], []
    for k, which in enumerate(molecules):
        atoms, shape, bonded = molecule(which)
        angle = 2.4 * k
        at = spread_A * np.sqrt(k) * np.array([np.cos(angle), np.sin(angle), 0.3 * np.cos(3 * angle)])
        donor = next((i for i, e in enumerate(atoms) if e == "O"), None)
        if donor is not None and k:
            contacts.append([0, len(element) + donor])
        bonds += [[len(element) + i, len(element) + j] for i, j in sorted(bonded)]
        element += atoms
        xyz += (shape + at).round(3).tolist()
        species.append([which, len(atoms)])
    charge = {"Li": 1, "FSI": -1}
    return {
        "name": name,
        "label": label,
        "replica": 1,
        "frame": 12,
        "time_ps": 13.0,
        "charge_e": sum(charge.get(m, 0) for m in molecules),
        "species": species,
        "element": element,
        "xyz_A": xyz,
        "bonds": bonds,
        "contacts": contacts,
    }


def write_snapshots(folder: Path, bottle: dict) -> None:
    """The two most frequent shells and a cluster, as the describe stage writes them."""
    records = []
    for rank, label in enumerate(list(bottle["shells"])[:2], start=1):
        inside = [part[:-1] for part in label.split() for _ in range(int(part[-1]))]
        records.append(snapshot(f"shell-{rank}_{label.replace(' ', '-')}", label, ["Li", *inside], 3.2))
    ions = ["Li", "FSI"] * 3 + ["Li", "DME", "DME"]
    records.append(snapshot("cluster_7-ions", "7 ions", ions, 4.0))
    folder.mkdir(parents=True)
    for record in records:
        for suffix in (".xyz", ".pdb"):
            (folder / f"{record['name']}{suffix}").write_text("made up\n", encoding="utf-8")
    (folder / "snapshots.json").write_text(json.dumps(records), encoding="utf-8")


def composition(name: str, bottle: dict) -> Composition:
    mass = {"DME": 90.12, "TTE": 232.07}
    parts = [("LiFSI", "salt", bottle["counts"]["Li"], {"Li": 1, "FSI": 1}, 187.07)]
    parts += [(s, bottle["roles"][s], n, {s: 1}, mass[s]) for s, n in bottle["counts"].items() if s in mass]
    asked = (
        Realised("LiFSI", "1 mol/L", "mol/L of solution", 1.0, 0.9984, -0.0016),
        Realised("DME", "rest", "wt%", 82.2, 82.2, 1e-5),
    )
    return Composition(
        formulation=name,
        recipe_sha256="3f9a" * 16,
        counts=bottle["counts"],
        roles=bottle["roles"],
        charges={"Li": 1, "FSI": -1, "DME": 0, "TTE": 0},
        ingredients=tuple(Ingredient(*part, 85.0, None, None, "made up") for part in parts),
        asked_realised=asked,
        n_atoms=6120,
        box_edge_A=bottle["edge"],
        density_g_cm3=bottle["density"] * 1.02,
        force_field="sage-clp-2.1.0",
        ion_charge_scale=0.8,
        seed=2026,
    )


def run_record(replica: int) -> dict:
    return {
        "spec": spec_record(298.15, replica),
        "stage": "simulate/1",
        "platform": {"name": "CPU", "properties": {"Threads": "2"}, "refused": {"CUDA": "its plugin is not installed"}},
        "production_ns": 1.0,
        "ns_per_day": 42.7,
        "restarts": replica - 1,
        "equilibration": {"duration_ps": 400.0, "stationary": replica == 1, "reason": "the density still changes"},
        "versions": {"openmm": "8.6.0", "lmbmd": "0.1.0", "python": "3.12.4"},
    }


def spec_record(temperature: float, replica: int) -> dict:
    seeds = {"velocities": 1234567 + replica, "thermostat": 7654321, "barostat": 1}
    protocol = Protocol().model_dump() | {"production_ns": 1.0}
    return {"temperature_K": temperature, "pressure_bar": 1.0, "seeds": seeds, "protocol": protocol}


def state(bottle: dict, temperature: float, rng: np.random.Generator, n: int = 1200) -> pd.DataFrame:
    noise = lambda tau: pd.Series(rng.normal(size=n)).ewm(tau).mean().to_numpy() * np.sqrt(2 * tau)  # noqa: E731
    time = 1.0 * np.arange(1, n + 1)
    density = bottle["density"] * (1 + 0.004 * noise(20))
    columns = {
        "step": (time * 250).astype(int),
        "time_ps": time,
        "density_g_cm3": density,
        "volume_A3": bottle["edge"] ** 3 * bottle["density"] / density,
        "potential_kJ_mol": -83000 + 250 * noise(8),
        "kinetic_kJ_mol": 21000 + 160 * rng.normal(size=n),
        "temperature_K": temperature + 3.1 * rng.normal(size=n),
    }
    return pd.DataFrame(columns)


def described(bottle: dict, rng: np.random.Generator, temperature_K: float = 298.15) -> Described:
    tables = shell_tables(bottle) | ion_tables(bottle) | cipa_tables() | time_tables(bottle, rng)
    tables |= motion_tables(bottle, temperature_K)
    tables |= radial_tables(bottle, rng) | {"composition": amounts(bottle), "convergence": checks()}
    notes = (
        {"topic": "convergence", "verdict": "borderline", "text": "The run may be too short."},
        {"topic": "convergence", "verdict": "borderline", "text": "The shortest run samples 1 ns; 5 ns are wanted."},
        {"topic": "convergence", "verdict": "long enough", "text": "Total cn does not drift."},
        {"topic": "cutoff", "text": "Li–TTE:F: 2.80 Å is used as cut-off, because g(r) has no significant maximum."},
        {"topic": "box", "text": "The longest cluster (2.3 nm) is longer than half the box (4.0 nm)."},
        {"topic": "motion", "text": "Viscosity: the run is made up."},
        {"topic": "cipa", "call": "none", "text": "No CIPA: 0 % of Li are in compact clusters of CIPA size."},
    )
    options = {"cutoff_shift_A": 0.3, "agg_ii_from": 3, "cipa": {"min_ions": 20.0, "max_anisotropy": 0.4}}
    facts = {"stage": "describe/1", "centre": "Li", "options": options, "replicas": [{"frames": 500}] * 2}
    tables = {name: filled(table, schemas()[name]) for name, table in tables.items()}
    rest = Described(descriptors(bottle, temperature_K), {}, notes, facts, schemas())
    return retold(rest, tables, bottle["roles"])


#: Descriptors that are rows of a table, too.
MAIN = [
    *("density_g_cm3", "molarity_mol_L", "free_solvent_fraction"),
    *(f"{role}_cn" for role in ("solvent", "anion", "diluent")),
    *(f"{cls}_fraction_anion" for cls in ("ssip", "cip", "agg", "agg-i", "agg-ii")),
]


def retold(found: Described, tables: dict[str, pd.DataFrame], roles: dict[str, str]) -> Described:
    """The same with these tables, and with the descriptors that are rows of them."""
    rest = found.descriptors[~found.descriptors.name.isin(MAIN)]
    rows = [part for part in (*main_rows(tables, roles), rest) if len(part)]
    return replace(found, descriptors=pd.concat(rows, ignore_index=True) if rows else rest, tables=tables)


def main_rows(tables: dict[str, pd.DataFrame], roles: dict[str, str]) -> list[pd.DataFrame]:
    """The descriptors that are rows of these tables, with the numbers and doubts that they have there."""
    parts = []
    if (amounts := tables.get("composition")) is not None:
        names = {"density": "density_g_cm3", "molarity": "molarity_mol_L"}
        kept = amounts[amounts.quantity.isin(names)]
        parts.append(kept.assign(name=kept.quantity.map(names), species=kept.component, value=kept.simulated))
    if (cn := tables.get("cn")) is not None:
        kept = cn[cn.site == ""]
        parts.append(kept.assign(name=kept.species.map(roles) + "_cn", unit="1"))
    if (classes := tables.get("speciation")) is not None:
        kept = classes[classes.convention == "anion"]
        name = kept.cls.str.lower() + "_fraction_anion"
        parts.append(kept.assign(name=name, species="", value=kept.fraction, unit="1"))
    if (free := tables.get("solvent_states")) is not None:
        columns = {f"free_{column}": column for column in ("error", "doubt", "doubt_kind", "doubt_n")}
        kept = free.drop(columns=[name for name in columns.values() if name in free]).rename(columns=columns)
        parts.append(kept.assign(name="free_solvent_fraction", value=kept.free, unit="1"))
    known = {"n_effective": 41.0, "degrees_of_freedom": 14.0, "method": "as its table", "definition": "as its table"}
    return [part.assign(**known, doubt_at=np.nan)[list(DESCRIPTOR_COLUMNS)] for part in parts]


def too_short(results: Results) -> Results:
    """The same results, of runs that are too short."""
    points = []
    for point in results.state_points:
        notes = [dict(note) for note in point.described.notes]
        for note in notes:
            if note.get("verdict") == "borderline":
                note["verdict"] = "too short"
        points.append(replace(point, described=replace(point.described, notes=tuple(notes))))
    return replace(results, state_points=tuple(points))


#: Doubts that the made-up tables use, as sentence → kind; the samples stand in brackets.
_KINDS = {"": "", "never changed": "never_changed", "error not reliable": "few_samples"}


def doubted(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the kind and the number of each doubt that is told in words."""
    for name in [name for name in table.columns if str(name).endswith("doubt")]:
        parts = [str(text).partition(" (") for text in table[name]]
        samples = [float(rest.split()[0]) if rest else np.nan for _, _, rest in parts]
        kinds = {f"{name}_kind": [_KINDS[head] for head, _, _ in parts], f"{name}_n": samples}
        table = table.assign(**kinds)
    if "outcome" in table:
        kinds = {"not decayed": "not_decayed", "not resolved": "not_resolved", "decayed": "", "seen": ""}
        table = table.assign(outcome_kind=[kinds[re.split(r": | \(", text)[0]] for text in table.outcome])
    return table


def filled(table: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """The table with all columns of its schema, in order; those that no test is about hold nothing."""
    nothing, table = {"number": np.nan, "text": "", "truth": None}, doubted(table)
    for name, kind in schema.columns.items():
        if name not in table and not name.endswith("*"):
            table = table.assign(**{name: nothing[kind]})
    if any(name.endswith("*") for name in schema.columns):
        first = [name for name in table if name.startswith("n_")]
        order = [n for name in schema.columns for n in (first if name.endswith("*") else [name])]
    else:
        order = list(schema.columns)
    return table[order]


def checks() -> pd.DataFrame:
    rows = [
        ("run length", 1.0, 5.0, "too short", "The shortest run samples 1 ns; 5 ns are wanted."),
        ("drift of total cn", 0.01, np.nan, "borderline", "Whether total cn drifts could not be determined."),
    ]
    return pd.DataFrame(rows, columns=["rule", "value", "threshold", "verdict", "text"])


def amounts(bottle: dict) -> pd.DataFrame:
    rows = [
        ("LiFSI", "count", np.nan, bottle["counts"]["Li"], bottle["counts"]["Li"], 0.0, "1"),
        ("LiFSI", "molarity", 1.0, 0.9984, bottle["molarity"], 0.01, "mol/L"),
        ("LiFSI", "molality", np.nan, 1.27, 1.27, 0.0, "mol/kg"),
    ]
    for name in ("DME", "TTE"):
        if name in bottle["counts"]:
            rows.append((name, "count", np.nan, bottle["counts"][name], bottle["counts"][name], 0.0, "1"))
            rows.append((name, "molarity", np.nan, 8.1, 8.05, 0.02, "mol/L"))
    rows.append(("", "density", np.nan, bottle["density"] * 1.02, bottle["density"], 0.004, "g/cm³"))
    return pd.DataFrame(rows, columns="component quantity asked realised simulated error unit".split())


def _gaussian(r: np.ndarray, at: float, width: float, height: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((r - at) / width) ** 2)


_PEAKS = {
    "FSI:O": [(1.98, 0.11, 13.0), (4.3, 0.4, 1.9)],
    "FSI:N": [(3.35, 0.17, 4.0), (4.5, 0.3, 1.2)],
    "FSI:F": [(3.9, 0.3, 2.2)],
    "FSI": [(3.2, 0.2, 4.0), (5.0, 0.5, 2.0)],
    "DME:O_ether": [(2.05, 0.12, 21.0), (4.9, 0.4, 0.6)],
    "TTE:O_ether": [(6.0, 0.8, 0.4)],
    "TTE:F": [(2.3, 0.15, 0.05), (5.6, 0.5, 0.4)],
    "Li": [(5.7, 0.55, 2.1)],
}


def radial_tables(bottle: dict, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    r = np.arange(0.025, 12.0, 0.05)
    rdf, cutoffs = [], []
    species = [name for name in bottle["counts"] if name != "Li"]
    for partner in [site for name in species for site in SITES[name]] + ["FSI", "Li"]:
        bulk = 1 / (1 + np.exp(-(r - 4.6) * 2.2))
        g = (bulk + sum(_gaussian(r, *peak) for peak in _PEAKS[partner])) * (r > 1.5)
        g = np.clip(g + rng.normal(0, 0.02, len(r)) * (r > 2.6), 0, None)
        density = bottle["counts"][partner.split(":")[0]] / bottle["edge"] ** 3
        sites = {"FSI:O": 4, "DME:O_ether": 2, "FSI:F": 2, "TTE:F": 8}.get(partner, 1)
        cn = np.cumsum(4 * np.pi * r**2 * 0.05 * g * density) * sites
        columns = {"centre": "Li", "partner": partner, "r_A": r, "g": g, "g_error": 0.03 * g + 0.01, "cn": cn}
        rdf.append(pd.DataFrame(columns))
        if partner in ("FSI:O", "DME:O_ether"):
            at, _, height = _PEAKS[partner][0]
            cutoffs.append(("Li", partner, "first", 2.8, at, height, 2.8, 0.04, "first minimum"))
        elif ":" in partner:
            rule = "fallback: g(r) has no significant maximum"
            cutoffs.append(("Li", partner, "first", 2.8, np.nan, np.nan, np.nan, np.nan, rule))
        elif partner == "FSI":
            cutoffs.append(("Li", partner, "second", 7.4, np.nan, np.nan, 7.4, 0.9, "second minimum"))
    columns = "centre partner shell cutoff_A peak_A peak_g minimum_A minimum_g rule".split()
    return {"rdf": pd.concat(rdf, ignore_index=True), "cutoffs": pd.DataFrame(cutoffs, columns=columns)}


def shell_tables(bottle: dict) -> dict[str, pd.DataFrame]:
    species = [name for name in bottle["counts"] if name != "Li"]
    cn, histogram, states, shells = [], [], [], []
    for name in species:
        mean = bottle["cn"][name]
        cn.append(("Li", name, "", mean, 0.03 + 0.02 * mean))
        for site in SITES[name]:
            factor = {"FSI:O": 1.2, "DME:O_ether": 1.8}.get(site, 0.02)
            cn.append(("Li", name, site.split(":")[1], factor * mean, factor * (0.03 + 0.02 * mean)))
        n = np.arange(6)
        weight = np.exp(-((n - mean) ** 2))
        histogram += [(name, k, w, 0.02) for k, w in zip(n, weight / weight.sum(), strict=True)]
        if name != "FSI":
            bound = min(0.95, mean * bottle["counts"]["Li"] / bottle["counts"][name])
            states.append((name, 1 - bound, 0.97 * bound, 0.03 * bound, 0.02, 0.02, 0.01))
    for rank, (label, share) in enumerate(bottle["shells"].items(), start=1):
        parts = {part[:-1]: int(part[-1]) for part in label.split()}
        counts = {f"n_{name}": parts.get(name, 0) for name in species}
        shells.append({"rank": rank, "label": label, **counts, "fraction": share, "error": 0.003 + 0.06 * share})
    return {
        "cn": pd.DataFrame(cn, columns="centre species site value error".split()),
        "cn_histogram": pd.DataFrame(histogram, columns="species n fraction error".split()),
        "shells": pd.DataFrame(shells),
        "solvent_states": pd.DataFrame(
            states, columns="species free bound bridging free_error bound_error bridging_error".split()
        ),
    }


def ion_tables(bottle: dict) -> dict[str, pd.DataFrame]:
    ssip, cip, agg = bottle["anion_classes"]
    speciation = []
    for convention, shift in (("centre", 0.02), ("anion", 0.0), ("cluster", -0.06)):
        parts = [("SSIP", ssip), ("CIP", cip + shift), ("AGG", agg - shift)]
        if convention == "anion":
            parts += [("AGG-I", 0.62 * agg), ("AGG-II", 0.38 * agg)]
        speciation += [(convention, cls, share, 0.012 + 0.05 * share) for cls, share in parts]
    shares = [ssip, cip, 0.62 * agg, 0.3 * agg, 0.08 * agg]
    conventions = ("anions_per_centre", "centres_per_anion")
    ions = [(convention, "FSI", k, share, 0.02) for convention in conventions for k, share in enumerate(shares)]
    quantities = {"cip_fraction_anion": (cip, 0.05), "agg_fraction_anion": (agg, 0.2), "total_cn": (4.1, 0.4)}
    sensitivity = [
        (name, shift, base + slope * shift, 0.02)
        for name, (base, slope) in quantities.items()
        for shift in (-0.3, 0.0, 0.3)
    ]
    dilute = ssip > 0.1
    sizes = np.array([1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 31, 46, 70, 90])[: 6 if dilute else 14]
    share = np.exp(-0.6 * np.arange(6)) if dilute else 0.03 + 0.01 * np.arange(14) ** 1.4
    share = share / share.sum()
    limit = range(5 if dilute else 22)
    population = [
        (i, j, 6.0 * np.exp(-0.55 * (i + j) - 0.8 * (i - j) ** 2) + 1e-4, False)
        for i in limit
        for j in limit
        if 0 < i + j and abs(i - j) < 4
    ]
    per_frame = share * 2 * bottle["counts"]["Li"] / sizes
    columns = {"n_ions": sizes, "clusters_per_frame": per_frame, "ion_fraction": share, "error": 0.1 * share}
    separation = [("FSI", 0.7 * ssip, 0.02, 0.3 * ssip, 0.01)]
    return {
        "speciation": pd.DataFrame(speciation, columns="convention cls fraction error".split()),
        "ion_histogram": pd.DataFrame(ions, columns="convention species n fraction error".split()),
        "separation": pd.DataFrame(
            separation, columns="species solvent_separated solvent_separated_error isolated isolated_error".split()
        ),
        "sensitivity": pd.DataFrame(sensitivity, columns="quantity cutoff_shift_A value error".split()),
        "cluster_sizes": pd.DataFrame(columns | {"percolating": sizes > 80}),
        "cluster_population": pd.DataFrame(population, columns="n_centres n_anions per_frame percolating".split()),
        "cluster_charge": pd.DataFrame(
            {"charge_e": [-3, -2, -1, 0, 1, 2], "per_frame": [0.1, 0.8, 6.2, 11.0, 7.4, 0.5]}
        ),
    }


def cipa_tables() -> dict[str, pd.DataFrame]:
    nan = np.nan
    rows = [
        ("ions in the cluster", "min_ions", 9.4, 1.2, "1", nan, nan, nan, 20.0, "≥", False, ""),
        ("diameter with bound solvent", "min_diameter_nm", 1.4, 0.1, "nm", nan, nan, nan, 2.5, "≥", False, ""),
        ("contacts per ion", "min_contacts_per_ion", 2.7, 0.1, "1", nan, nan, nan, 2.5, "≥", True, ""),
        ("shape anisotropy", "max_anisotropy", 0.46, 0.04, "1", nan, nan, nan, 0.4, "≤", False, ""),
        ("smallest box width", "min_box_width_nm", 3.8, 0.0, "nm", nan, nan, nan, 8.0, "≥", False, ""),
        ("nearest cation–cation distance", "", 5.1, 0.05, "Å", 5.9, 0.2, -4.0, nan, "", None, "labels"),
        ("local density over bulk, 0.8 nm", "", 1.62, 0.05, "1", 1.1, 0.02, 26.0, nan, "", None, "pairs"),
        ("fractal dimension", "", nan, nan, "1", nan, nan, nan, nan, "", None, ""),
    ]
    columns = "criterion option value error unit null null_sd z threshold direction met null_model".split()
    r = np.arange(0.05, 15, 0.1)
    g = 1 / (1 + np.exp(-(r - 4.6) * 2.2)) + _gaussian(r, 5.7, 0.55, 2.1)
    random = 3 * (r / 5.9) ** 2 * np.exp(-((r / 5.9) ** 3)) / 5.9
    choices = [("cut-off shift", "-0.3 Å", 0.0, 0.0, "none"), ("ions_min", "16", 0.004, 0.003, "none")]
    return {
        "cipa": pd.DataFrame(rows, columns=columns)
        .astype({"met": object})
        .assign(share_met=[0.15, 0.05, 0.625, 0.375, nan, nan, nan, nan]),
        "cipa_sensitivity": pd.DataFrame(choices, columns="choice setting share error call".split()),
        "cipa_g": pd.DataFrame(
            {"r_A": r, "g": g, "g_labels": np.clip(r - 3, 0, 1), "g_pairs": np.clip((r - 2.5) / 2, 0, 1)}
        ),
        "cipa_nearest": pd.DataFrame({"r_A": r, "density": _gaussian(r, 5.1, 0.8, 0.5), "poisson": random}),
    }


def time_tables(bottle: dict, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    t, nan = np.linspace(0, 500, 251), np.nan
    curves, residence = [], []
    for partner, tau in (("FSI", 180.0), ("DME", 620.0)):
        for correlation, factor in (("continuous", 0.4), ("intermittent", 1.0)):
            c = np.exp(-((t / (factor * tau)) ** 0.85))
            columns = {"centre": "Li", "partner": partner, "correlation": correlation, "t_ps": t, "c": c}
            curves.append(pd.DataFrame(columns | {"c_error": 0.02 * np.sqrt(t / 500)}))
            done = factor * tau < 400
            time = (factor * tau, 0.1 * factor * tau) if done else (nan, nan)
            outcome = "decayed" if done else f"not decayed: C(500 ps) = {c[-1]:.2f}, so longer than 500 ps"
            residence.append(("Li", partner, correlation, *time, outcome))
    states = [
        ("Li", "FSI", "CIP", "intermittent", 60.0, 5.0, "decayed"),
        ("", "", "cluster", "intermittent", nan, nan, "not decayed: C(500 ps) = 0.8"),
    ]
    time = np.arange(0, 1000, 2.0)
    series = []
    for replica in (1, 2):
        for quantity, base in (
            ("cip_fraction_anion", bottle["anion_classes"][1]),
            ("density_g_cm3", bottle["density"]),
        ):
            value = base + 0.1 * np.exp(-time / 300) + rng.normal(0, 0.03, len(time))
            series.append(pd.DataFrame({"replica": replica, "time_ps": time, "quantity": quantity, "value": value}))
    few = "error not reliable (6.1 independent samples)"
    errors = [
        ("total_cn", 0, 4.05, 0.06, "", 34.0, "within replicas", 1000),
        ("total_cn", 1, 4.10, 0.08, "", 18.0, "within replicas", 500),
        ("total_cn", 2, 4.00, 0.09, few, 6.1, "within replicas", 500),
    ]
    stretch = np.linspace(50, 1000, 20)
    running = pd.DataFrame({"quantity": "total_cn", "time_ps": stretch, "value": 4.05 + 0.3 * np.exp(-stretch / 200)})
    return {
        "errors": pd.DataFrame(errors, columns="quantity replica value error doubt n_effective source frames".split()),
        "running": running.assign(error=2.0 / np.sqrt(stretch), doubt=[few] * 8 + [""] * 12),
        "residence": pd.DataFrame(residence, columns="centre partner correlation tau_ps error outcome".split()),
        "residence_curves": pd.concat(curves, ignore_index=True),
        "residence_states": pd.DataFrame(
            states, columns="centre partner state correlation tau_ps error outcome".split()
        ),
        "timeseries": pd.concat(series, ignore_index=True),
    }


def faster(temperature_K: float) -> float:
    """How much faster everything is than at 298.15 K, with an activation energy of 15 kJ/mol."""
    return float(np.exp(-15.0 / 8.31446e-3 * (1 / temperature_K - 1 / 298.15)))


def motion_tables(bottle: dict, temperature_K: float) -> dict[str, pd.DataFrame]:
    """Diffusive walks with a cage, an integral that levels off, and one that does not."""
    rate, nan = faster(temperature_K), np.nan
    lag = np.geomspace(1.0, 400.0, 30)
    msd = []
    for k, name in enumerate(bottle["counts"]):
        caged, free = 1.5 * (1 - np.exp(-lag / 3)), 6 * 0.02 * (1 + 0.4 * k) * rate * lag
        exponent = (0.5 * np.exp(-lag / 3) + free) / (caged + free)
        columns = {"species": name, "lag_ps": lag, "msd_A2": caged + free, "error": (caged + free) * 0.004 * lag**0.6}
        msd.append(pd.DataFrame(columns | {"exponent": exponent, "exponent_error": 0.005 * lag**0.6}))
    integrals = []
    for quantity, value, unit in (("viscosity", 1.1 / rate, "mPa s"), ("conductivity", 0.9 * rate, "S/m")):
        columns = {"quantity": quantity, "time_ps": lag, "value": value * (1 - np.exp(-lag / 20)), "unit": unit}
        integrals.append(pd.DataFrame(columns | {"error": 0.01 * value * np.sqrt(lag)}))
    coefficients = [
        (first, second, frame, part, rate * value, 0.05 * abs(value) + 0.01)
        for frame, shift in (("barycentric", 0.0), ("solvent", 0.03))
        for first, second, parts in (
            ("Li", "Li", (0.45, 0.70, -0.25)),
            ("Li", "FSI", (-0.05, nan, -0.05)),
            ("FSI", "FSI", (0.60, 0.85, -0.25)),
        )
        for part, value in zip(("total", "self", "distinct"), np.array(parts) + shift, strict=True)
        if np.isfinite(value)
    ]
    classes = pd.DataFrame(
        {"class": ["single", "pair", "larger"], "ion_share": [0.2, 0.3, 0.5], "share": [0.45, 0.4, 0.15], "error": 0.06}
    )
    onsager = pd.DataFrame(coefficients, columns="first second frame part value_S_m error".split())
    runs = [(r, k, "NVT", "nose-hoover", 0.0, 800.0, 1.0, temperature_K) for r in (1, 2) for k in (1, 2, 3, 4)]
    names = "replica segment ensemble thermostat friction_per_ps length_ps interval_ps temperature_K"
    return {
        "msd": pd.concat(msd, ignore_index=True),
        "running_integrals": pd.concat(integrals, ignore_index=True),
        "onsager": onsager.assign(doubt=""),
        "conductivity_by_class": classes.assign(doubt=""),
        "motion_runs": pd.DataFrame(runs, columns=names.split()),
    }


def motion_rows(bottle: dict, temperature_K: float) -> list[tuple]:
    """Of the last one the run is too short; one has an error from too few samples."""
    rate, nan = faster(temperature_K), np.nan
    rows = [
        (name, species, value, 0.04 * value, unit, 30.0, 25.0, f"{name} in short")
        for name, species, value, unit in (
            *(("self_diffusion_m2_s", s, 2e-10 * (1 + 0.4 * k) * rate, "m²/s") for k, s in enumerate(bottle["counts"])),
            ("self_diffusion_unbounded_m2_s", "Li", 2.3e-10 * rate, "m²/s"),
            ("msd_exponent", "Li", 0.98, "1"),
            ("conductivity_S_m", "", 0.95 * rate, "S/m"),
            ("conductivity_nernst_einstein_S_m", "", 1.5 * rate, "S/m"),
            ("onsager_barycentric_S_m", "Li|FSI", -0.05 * rate, "S/m"),
            ("transference_solvent", "Li", 0.41, "1"),
            ("diffusion_by_state_m2_s", "Li:SSIP", 2.6e-10 * rate, "m²/s"),
            ("relative_permittivity", "", 7.1, "1"),
        )
    ]
    rows.append(("ionicity", "", 0.63, 0.05, "1", 6.1, 5.0, "conductivity over Nernst–Einstein"))
    return [*rows, ("viscosity_mPa_s", "", nan, nan, "mPa s", 0.0, nan, "Green–Kubo integral; it still grows")]


def descriptors(bottle: dict, temperature_K: float = 298.15) -> pd.DataFrame:
    rows = [
        (
            "cluster_size_weight_average",
            "Li",
            9.4,
            1.2,
            "ions",
            12.0,
            4.0,
            "mean size of the cluster that an ion is in",
        ),
        ("largest_cluster_fraction", "Li", 0.21, 0.03, "1", 9.0, 3.0, "share of all ions in the largest cluster"),
        ("cluster_rg_nm", "Li", np.nan, np.nan, "nm", 0.0, np.nan, "radius of gyration; no finite cluster was seen"),
        ("shell_entropy", "", 1.62, np.nan, "k_B", 1.0, np.nan, "−Σ p ln p; one block only: no error can be told"),
    ]
    rows += motion_rows(bottle, temperature_K)
    found = {
        "cluster_rg_nm": Doubt(Kind.NO_FINITE_CLUSTER),
        "shell_entropy": Doubt(Kind.ONE_BLOCK),
        "ionicity": Doubt(Kind.FEW_SAMPLES, n=6.1),
        "viscosity_mPa_s": Doubt(Kind.RUN_TOO_SHORT),
    }
    rows = [(*row, row[-1], *told(found.get(row[0], SURE)), np.nan) for row in rows]
    return pd.DataFrame(rows, columns=list(DESCRIPTOR_COLUMNS))
