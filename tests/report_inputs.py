"""Made-up but realistic inputs of a report, with the tables and files that the stages write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from lmbmd.tables import DESCRIPTOR_COLUMNS

BOTTLES = {
    "lifsi-dme": {
        "title": "1 M LiFSI in DME", "counts": {"Li": 40, "FSI": 40, "DME": 350},
        "roles": {"Li": "cation", "FSI": "anion", "DME": "solvent"}, "density": 0.985, "molarity": 1.012,
        "cn": {"FSI": 1.15, "DME": 2.42}, "anion_classes": (0.21, 0.52, 0.27), "edge": 40.3,
        "shells": [("DME3", 0.31), ("DME2 FSI1", 0.27), ("DME2 FSI2", 0.16), ("DME1 FSI2", 0.09), ("DME1 FSI3", 0.05),
                   ("DME3 FSI1", 0.04), ("FSI4", 0.01)],
    },
    "lifsi-dme-tte": {
        "title": "LiFSI : DME : TTE = 1 : 1.2 : 3 (LHCE)", "counts": {"Li": 50, "FSI": 50, "DME": 60, "TTE": 150},
        "roles": {"Li": "cation", "FSI": "anion", "DME": "solvent", "TTE": "diluent"}, "density": 1.462, "molarity": 1.49,
        "cn": {"FSI": 2.86, "DME": 1.17, "TTE": 0.018}, "anion_classes": (0.03, 0.12, 0.85), "edge": 38.1,
        "shells": [("DME1 FSI3", 0.34), ("DME1 FSI2", 0.19), ("DME2 FSI2", 0.13), ("FSI4", 0.11), ("DME2 FSI1", 0.07),
                   ("FSI3", 0.05), ("DME1 FSI4", 0.04), ("DME3", 0.01), ("DME1 FSI2 TTE1", 0.005), ("FSI2", 0.004),
                   ("FSI5", 0.002)],
    },
}  # fmt: skip

SITES = {"FSI": ("FSI:O", "FSI:N", "FSI:F"), "DME": ("DME:O_ether",), "TTE": ("TTE:O_ether", "TTE:F")}


def write_study(folder: Path, temperatures_K: tuple[float, ...] = (298.15,), names: tuple[str, ...] = ()) -> Path:
    """Write ``results/`` for the bottles of ``BOTTLES``; returns the results folder."""
    results = folder / "results"
    for name in names or BOTTLES:
        write_formulation(results / name, BOTTLES[name], temperatures_K)
    return results


def write_formulation(folder: Path, bottle: dict, temperatures_K: tuple[float, ...]) -> None:
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    (folder / "composition.json").write_text(json.dumps(composition(folder.name, bottle)))
    for temperature in temperatures_K:
        point = folder / f"{temperature:g}K"
        (point / "tables").mkdir(parents=True)
        for name, table in tables(bottle, temperature, rng).items():
            table.to_csv(point / "tables" / f"{name}.csv", index=False)
        frame = descriptors(bottle)
        frame.to_parquet(point / "descriptors.parquet")
        frame.to_csv(point / "descriptors.csv", index=False)
        (point / "described.json").write_text(json.dumps(described_header()))
        for replica in (1, 2):
            run = point / f"r{replica}"
            run.mkdir()
            state(bottle, temperature, rng).to_csv(run / "state.csv", index=False)
            (run / "run.json").write_text(json.dumps(run_record(replica)))


def composition(name: str, bottle: dict) -> dict:
    return {
        "formulation": name, "title": bottle["title"], "counts": bottle["counts"], "roles": bottle["roles"],
        "box_edge_A": bottle["edge"], "force_field": "sage-clp-1.0.0", "ion_charge_scale": 0.8,
        "source": "doi:10.1016/j.joule.2018.05.002", "sha256": "3f9a" * 16,
    }  # fmt: skip


def described_header() -> dict:
    return {
        "stage": "describe/1", "options": {"cutoff_window_A": [2.3, 3.5], "block_count": 10},
        "inputs": {"contacts": {"file": "contacts.arrow", "sha256": "ab12" * 16}},
        "versions": {"lmbmd": "0.1.0", "numpy": "2.3.1"},
        "notes": [
            {"topic": "convergence", "verdict": "too short", "text": "Too short to believe: 1.0 ns of production is 2 times "
             "the residence time of FSI⁻ in the shell of Li⁺ (0.5 ns); at least 20 residence times are wanted. The CIP "
             "fraction still drifts (p = 0.003)."},
            {"topic": "cutoff", "text": "Li – TTE:F has no first minimum between 2.3 and 3.5 Å; the fallback of 2.80 Å was "
             "used."},
            {"topic": "box", "text": "The longest cluster (2.3 nm) is longer than half the box (4.0 nm)."},
            {"topic": "cipa", "text": "3 of 6 criteria are met: this liquid is not called CIPA."},
        ],
    }  # fmt: skip


def run_record(replica: int) -> dict:
    return {
        "stage": "simulate/1", "platform": "CPU", "precision": "mixed", "ns_per_day": 42.7, "restarts": replica - 1,
        "production_ns": 1.0, "equilibration_ns": 0.5, "timestep_fs": 4.0, "n_atoms": 6120,
        "seeds": {"velocities": 1234567 + replica, "packing": 7654321 + replica},
        "equilibration": {"verdict": "stationary", "density_p": 0.41, "energy_p": 0.22},
        "versions": {"openmm": "8.6.0", "lmbmd": "0.1.0", "python": "3.12.4"},
        "inputs": {"system": {"file": "system.xml", "sha256": "cd34" * 16}},
    }  # fmt: skip


def state(bottle: dict, temperature: float, rng: np.random.Generator, n: int = 1200) -> pd.DataFrame:
    noise = lambda tau: pd.Series(rng.normal(size=n)).ewm(tau).mean().to_numpy() * np.sqrt(2 * tau)  # noqa: E731
    time = 1.0 * np.arange(1, n + 1)
    density = bottle["density"] * (1 + 0.004 * noise(20))
    return pd.DataFrame({
        "step": (time * 250).astype(int), "time_ps": time, "density_g_cm3": density,
        "volume_A3": bottle["edge"] ** 3 * bottle["density"] / density,
        "potential_kJ_mol": -83000 + 250 * noise(8), "kinetic_kJ_mol": 21000 + 160 * rng.normal(size=n),
        "temperature_K": temperature + 3.1 * rng.normal(size=n),
    })  # fmt: skip


def _gaussian(r: np.ndarray, at: float, width: float, height: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((r - at) / width) ** 2)


def _rdf(r: np.ndarray, partner: str) -> np.ndarray:
    bulk = 1 / (1 + np.exp(-(r - 4.6) * 2.2))
    shapes = {
        "FSI:O": [(1.98, 0.11, 13.0), (4.3, 0.4, 1.9)], "FSI:N": [(3.35, 0.17, 4.0), (4.5, 0.3, 1.2)],
        "FSI:F": [(3.9, 0.3, 2.2)], "DME:O_ether": [(2.05, 0.12, 21.0), (4.9, 0.4, 0.6)],
        "TTE:O_ether": [(6.0, 0.8, 0.4)], "TTE:F": [(2.3, 0.15, 0.05), (5.6, 0.5, 0.4)], "Li": [(5.7, 0.55, 2.1)],
    }  # fmt: skip
    return bulk + sum(_gaussian(r, *shape) for shape in shapes[partner])


def tables(bottle: dict, temperature: float, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    species = [name for name in bottle["counts"] if name != "Li"]
    r = np.arange(0.025, 10.0, 0.05)
    rdf, cutoffs = [], []
    cut = {"FSI:O": (2.78, 1.98, 13.0), "FSI:N": (2.8, np.nan, np.nan), "FSI:F": (2.8, np.nan, np.nan),
           "DME:O_ether": (2.86, 2.05, 21.0), "TTE:O_ether": (2.8, np.nan, np.nan), "TTE:F": (2.8, np.nan, np.nan)}  # fmt: skip
    for partner in [site for name in species for site in SITES[name]] + ["Li"]:
        g = np.clip(_rdf(r, partner) * (r > 1.5) + rng.normal(0, 0.02, len(r)) * (r > 2.6), 0, None)
        count = 4 * np.pi * r**2 * 0.05 * g * bottle["counts"][partner.split(":")[0]] / bottle["edge"] ** 3
        sites = {"FSI:O": 4, "DME:O_ether": 2, "FSI:F": 2, "TTE:F": 8}.get(partner, 1)
        rdf.append(pd.DataFrame({"centre": "Li", "partner": partner, "r_A": r, "g": g, "g_error": 0.03 * g + 0.01,
                                 "cn": np.cumsum(count) * sites}))  # fmt: skip
        if partner in cut:
            radius, peak, height = cut[partner]
            rule = "first minimum" if np.isfinite(peak) else "fallback: no minimum between 2.3 and 3.5 Å"
            cutoffs.append(("Li", partner, radius, peak, height, radius if np.isfinite(peak) else np.nan, 0.04, rule))
    cn_rows, histogram, states = [], [], []
    for name in species:
        mean = bottle["cn"][name]
        cn_rows.append(("Li", name, "", mean, 0.03 + 0.02 * mean))
        for site in SITES[name]:
            factor = {"FSI:O": 1.2, "DME:O_ether": 1.8}.get(site, 0.02)
            cn_rows.append(("Li", name, site, factor * mean, factor * (0.03 + 0.02 * mean)))
        n = np.arange(0, 6)
        weight = np.exp(-((n - mean) ** 2))
        histogram += [(name, k, w, 0.02) for k, w in zip(n, weight / weight.sum(), strict=True)]
        if name != "FSI":
            bound = min(0.95, mean * bottle["counts"]["Li"] / bottle["counts"][name])
            states.append((name, 1 - bound, 0.97 * bound, 0.03 * bound, 0.02, 0.02, 0.01))
    ssip, cip, agg = bottle["anion_classes"]
    speciation = []
    for convention, shift in (("centre", 0.02), ("anion", 0.0), ("cluster", -0.06)):
        parts = [("SSIP", ssip), ("CIP", cip + shift), ("AGG", agg - shift)]
        if convention == "anion":
            parts += [("AGG-I", 0.62 * agg), ("AGG-II", 0.38 * agg)]
        speciation += [(convention, cls, share, 0.012 + 0.05 * share) for cls, share in parts]
    ions = []
    for convention, who in (("anions_per_centre", "FSI"), ("centres_per_anion", "FSI")):
        shares = np.array([ssip, cip, 0.62 * agg, 0.3 * agg, 0.08 * agg])
        ions += [(convention, who, k, share, 0.02) for k, share in enumerate(shares)]
    sensitivity = [
        (f"{what}_fraction", shift, base + slope * shift, 0.02)
        for what, base, slope in (("CIP", cip, 0.05), ("AGG", agg, 0.2), ("SSIP", ssip, -0.25))
        for shift in (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
    ]
    sizes = np.array([1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 31, 46, 70, 90])[: 6 if ssip > 0.1 else 14]
    shares = np.exp(-0.6 * np.arange(len(sizes))) if ssip > 0.1 else 0.03 + 0.01 * np.arange(len(sizes)) ** 1.4
    shares = shares / shares.sum()
    total = 2 * bottle["counts"]["Li"]
    limit = 5 if ssip > 0.1 else 22
    population = [
        (i, j, 6.0 * np.exp(-0.55 * (i + j)) * np.exp(-0.8 * (i - j) ** 2) + 1e-4)
        for i in range(limit) for j in range(limit) if 0 < i + j and abs(i - j) < 4
    ]  # fmt: skip
    cipa = [
        ("ions per cluster", 9.4, 1.2, "ions", 3.1, 0.4, 15.7, 20.0, ">=", False),
        ("equivalent diameter", 1.4, 0.1, "nm", 0.7, 0.05, 14.0, 2.5, ">=", False),
        ("local Li density over bulk", 1.62, 0.05, "1", 1.1, 0.02, 26.0, 1.3, ">=", True),
        ("z against null model", 5.2, np.nan, "1", np.nan, np.nan, np.nan, 3.0, ">=", True),
        ("contacts per ion", 2.7, 0.1, "1", 1.3, 0.1, 14.0, 2.5, ">=", True),
        ("relative anisotropy", 0.46, 0.04, "1", np.nan, np.nan, np.nan, 0.4, "<=", False),
    ]
    t = np.linspace(0, 500, 251)
    curves, residence = [], []
    for partner, tau in (("FSI", 180.0), ("DME", 620.0)):
        for correlation, factor in (("continuous", 0.4), ("intermittent", 1.0)):
            c = np.exp(-((t / (factor * tau)) ** 0.85))
            curves.append(pd.DataFrame({"partner": partner, "correlation": correlation, "t_ps": t, "c": c,
                                        "c_error": 0.02 * np.sqrt(t / 500)}))  # fmt: skip
            done = factor * tau < 400
            residence.append(("Li", partner, correlation, factor * tau if done else np.nan, 0.1 * factor * tau if done else
                              np.nan, "decayed" if done else f"not decayed: C(500 ps) = {c[-1]:.2f} is above 1/e"))  # fmt: skip
    frames = np.arange(0, 1000, 2.0)
    series = [
        pd.DataFrame({"replica": k, "time_ps": frames, "quantity": quantity,
                      "value": base + 0.1 * np.exp(-frames / 300) + rng.normal(0, 0.03, len(frames))})
        for k in (1, 2) for quantity, base in (("CIP_fraction", cip), ("weight_average_cluster_size", 9.0))
    ]  # fmt: skip
    molarity = bottle["molarity"]
    amounts = [
        ("LiFSI", "mol/L", 1.0, 0.9984, molarity, 0.01, "mol/L"),
        ("LiFSI", "molality", np.nan, 1.27, 1.27, 0.0, "mol/kg"),
    ]
    amounts += [(name, "molecules", np.nan, count, count, np.nan, "1") for name, count in bottle["counts"].items()]
    amounts.append(("box", "density", np.nan, bottle["density"] * 1.02, bottle["density"], 0.004, "g/cm3"))
    shell_rows = []
    for rank, (label, share) in enumerate(bottle["shells"], start=1):
        parts = {part[:-1]: int(part[-1]) for part in label.split()}
        shell_rows.append({"rank": rank, "label": label, **{f"n_{s}": parts.get(s, 0) for s in species}, "fraction": share,
                           "error": 0.003 + 0.06 * share})  # fmt: skip
    make = pd.DataFrame
    return {
        "rdf": pd.concat(rdf),
        "cutoffs": make(cutoffs, columns="centre partner cutoff_A peak_A peak_g minimum_A minimum_g rule".split()),
        "cn": make(cn_rows, columns="centre species site value error".split()),
        "cn_histogram": make(histogram, columns="species n fraction error".split()),
        "shells": make(shell_rows),
        "speciation": make(speciation, columns="convention cls fraction error".split()),
        "ion_histogram": make(ions, columns="convention species n fraction error".split()),
        "solvent_states": make(
            states, columns="species free bound bridging free_error bound_error bridging_error".split()
        ),
        "sensitivity": make(sensitivity, columns="quantity cutoff_shift_A value error".split()),
        "timeseries": pd.concat(series),
        "cluster_sizes": make({"n_ions": sizes, "clusters_per_frame": shares * total / sizes, "ion_fraction": shares,
                               "error": 0.1 * shares, "percolating": sizes > 80}),
        "cluster_population": make(population, columns="n_centres n_anions per_frame".split()),
        "cluster_charge": make({"charge_e": [-3, -2, -1, 0, 1, 2], "per_frame": [0.1, 0.8, 6.2, 11.0, 7.4, 0.5]}),
        "cipa": make(cipa, columns="criterion value error unit null null_sd z threshold direction met".split()),
        "residence": make(residence, columns="centre partner correlation tau_ps error outcome".split()),
        "residence_curves": pd.concat(curves),
        "composition": make(amounts, columns="component quantity asked realised simulated error unit".split()),
    }  # fmt: skip


def descriptors(bottle: dict) -> pd.DataFrame:
    rows = [
        ("cn_molecules", name, value, 0.05, "1", 41.0, "first minimum of g(r)") for name, value in bottle["cn"].items()
    ]
    rows += [
        ("cluster_size_weight_average", "Li", 9.4, 1.2, "ions", 12.0, "mean size of the cluster that an ion is in"),
        ("largest_cluster_fraction", "Li", 0.21, 0.03, "1", 9.0, "share of all ions in the largest cluster"),
        ("cluster_rg", "Li", np.nan, np.nan, "nm", 0.0, "no finite cluster was seen"),
        ("shell_entropy", "Li", 1.62, np.nan, "1", 1.0, "one block only: no error can be told"),
    ]
    return pd.DataFrame(rows, columns=list(DESCRIPTOR_COLUMNS))
