"""The table of chains: how they hold the ions, how large they are, and how fast they turn."""

from __future__ import annotations

import numpy as np

from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.tables.cells import Cell, Table, existing, unit, value
from lmbmd.report.words import naming

#: Descriptors of the table, in its order, each with the definition it links to.
NUMBERS = {
    **dict.fromkeys(
        (
            "chain_units_per_centre",
            "chains_per_centre",
            "centres_without_chain_fraction",
            "centres_on_one_chain_fraction",
            "centres_on_several_chains_fraction",
            "one_chain_share",
            "chain_denticity",
            "chain_run_units",
            "centres_per_chain",
        ),
        "chain_coordination",
    ),
    **dict.fromkeys(
        ("chain_hop_rate_per_ns", "chain_hop_time_ps", "chain_exchange_rate_per_ns", "chain_exchange_time_ps"),
        "chain_hops",
    ),
    **dict.fromkeys(
        ("end_to_end_A", "radius_of_gyration_A", "unit_distance_A", "characteristic_ratio", "chain_shape_ratio"),
        "chain_size",
    ),
    "persistence_length_A": "persistence_length",
    **dict.fromkeys(
        (
            "unit_vector_p1_time_ps",
            "unit_vector_p1_integral_ps",
            "unit_vector_p2_time_ps",
            "unit_vector_p2_integral_ps",
            "end_to_end_time_ps",
            "end_to_end_integral_ps",
        ),
        "chain_relaxation",
    ),
    "chain_self_diffusion_m2_s": "self_diffusion",
}
#: What the numbers are called, with {one} and {all} for the centres.
WORDS = {
    "chain_units_per_centre": "units on one {one}",
    "chains_per_centre": "chains on one {one}",
    "centres_without_chain_fraction": "share of {all} on no chain",
    "centres_on_one_chain_fraction": "share of {all} on one chain",
    "centres_on_several_chains_fraction": "share of {all} between several chains",
    "one_chain_share": "share of one chain among the {all} that are held",
    "chain_denticity": "units of one chain on one {one}",
    "chain_run_units": "the most of these in a row",
    "centres_per_chain": "{all} on one chain",
    "chain_hop_rate_per_ns": "hops along a chain, per {one}",
    "chain_hop_time_ps": "time on a chain between hops along it",
    "chain_exchange_rate_per_ns": "chains lost, per {one}",
    "chain_exchange_time_ps": "time until a chain is lost",
    "end_to_end_A": "end-to-end distance",
    "radius_of_gyration_A": "radius of gyration",
    "unit_distance_A": "distance of neighbouring units",
    "characteristic_ratio": "characteristic ratio, by units",
    "chain_shape_ratio": "⟨R²⟩ / ⟨Rg²⟩",
    "persistence_length_A": "persistence length",
    "unit_vector_p1_time_ps": "relaxation of segments, P₁, 1/e",
    "unit_vector_p1_integral_ps": "relaxation of segments, P₁, integral",
    "unit_vector_p2_time_ps": "relaxation of segments, P₂, 1/e",
    "unit_vector_p2_integral_ps": "relaxation of segments, P₂, integral",
    "end_to_end_time_ps": "relaxation of end-to-end vectors, 1/e",
    "end_to_end_integral_ps": "relaxation of end-to-end vectors, integral",
    "chain_self_diffusion_m2_s": "self-diffusion of whole chains",
}


def numbers(point: StatePoint) -> Table | None:
    """Every number of chains with its error; None without chains."""
    rows = point.described.descriptors
    order = {name: k for k, name in enumerate(NUMBERS)}
    rows = rows[rows.name.isin(order)].sort_values("name", key=lambda names: names.map(order), kind="stable")
    words = {"one": naming.one_centre(point.centre), "all": naming.centres(point.centre)}
    shown = tuple(
        (
            Cell(WORDS[str(row.name)].format(**words), NUMBERS[str(row.name)]),
            Cell(str(row.species)),
            value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row)),
            unit(str(row.unit)),
        )
        for row in rows.itertuples(index=False)
    )
    caption = "How chains hold the ions, how large they are, and how fast they turn and move."
    return Table(caption, ("quantity", "chain", "value ± error", "unit"), shown, headers=2) if shown else None


def sentences(point: StatePoint) -> str:
    """What the chains do, in words, from the numbers that have a value; "" without chains."""
    rows = point.described.descriptors
    one, said = naming.one_centre(point.centre), []
    chains = rows[rows.name == "chain_units_per_centre"].species
    for chain in chains:
        of = rows[rows.species == chain].drop_duplicates("name").set_index("name")
        if "one_chain_share" not in of.index or np.isnan(of.value["one_chain_share"]):
            continue
        names = "chain_units_per_centre", "chains_per_centre", "one_chain_share"
        about = "" if all(of.error[name] > 0 for name in names) else "≈ "  # a run that is too short has no errors
        units, on, share = (float(of.value[name]) for name in names)
        said.append(
            f"One {one} has {about}{units:.1f} units of {chain} in its shell, from {about}{on:.1f} chains; of the "
            f"{naming.centres(point.centre)} that {chain} holds, {about}{100 * share:.0f} % are on one chain alone."
        )
    return " ".join(said)
