"""The chapter of chains: there where the box has some, with a number, a unit and a definition for each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from lmbmd.analysis.families import definitions, schemas
from lmbmd.data.described import Described, Descriptor, descriptor_frame
from lmbmd.report.inputs import StatePoint
from lmbmd.report.pages.chapters import CHAPTERS, _chains
from lmbmd.report.tables import chains as tables


def point(with_chains: bool = True) -> StatePoint:
    """A state point with made-up numbers of one kind of chains, or of none."""
    rows, found = [], {}
    if with_chains:
        values = {name: 0.5 + k for k, name in enumerate(tables.NUMBERS)} | {"one_chain_share": 0.75}
        rows = [
            Descriptor(n, "PEO", x, 0.1, "1", 50.0, 40.0, "as made", "as made", "", "", np.nan, np.nan)
            for n, x in values.items()
        ]
        n = np.arange(1, 5.0)
        no_doubt = {"doubt": "", "doubt_kind": "", "doubt_n": np.nan}
        shells = [
            pd.DataFrame({"chain": "PEO", "quantity": what, "n": n, "fraction": 0.25, "error": 0.01, **no_doubt})
            for what in ("chains on a centre", "units of a chain on a centre", "units in a row", "centres on a chain")
        ]
        stretch = {"chain": "PEO", "units_apart": n, "stretch_square_A2": 12 * n, "stretch_square_A2_error": 0.3}
        stretch |= {"bonds_apart": n - 1, "cosine": 0.5**n, "cosine_error": 0.01, **no_doubt}
        t = np.array([0.0, 1.0, 10.0, 100.0])
        curves = [
            pd.DataFrame({"chain": "PEO", "vector": v, "order": p, "t_ps": t, "c": np.exp(-t / 50), "c_error": 0.01})
            for v, p in (("unit_vector", "P1"), ("unit_vector", "P2"), ("end_to_end", "P1"))
        ]
        found = {
            "chain_shells": pd.concat(shells, ignore_index=True),
            "chain_stretches": pd.DataFrame(stretch),
            "chain_relaxation_curves": pd.concat(curves, ignore_index=True),
        }
        for name, table in found.items():
            schemas()[name].check(table)
    return StatePoint(363.0, Described(descriptor_frame(rows), found, (), {"centre": "Li"}, schemas()))


def test_a_box_with_chains_has_a_chapter_with_figures_a_table_and_a_sentence():
    chapter = _chains(point(), None, {})
    drawings = [d for block in chapter.every_block for d in block.get("drawings", ())]
    assert len(drawings) == 4 + 1 + 1 and all(d.alt and d.title for d in drawings)
    assert "from 1.5 chains" in chapter.lead and "75 % are on one chain alone" in chapter.lead
    assert not [d.title for d in drawings if "mathdefault" in d.svg], "labels of logarithmic axes are plain numbers"
    (table,) = (block["table"] for block in chapter.every_block if "table" in block)
    assert len(table.rows) == len(tables.NUMBERS) == len(tables.WORDS)
    assert all(row[0].definition in definitions() for row in table.rows)
    assert all(block["definition"] in definitions() for block in chapter.blocks)


def test_the_sentence_says_about_where_there_is_no_error():
    sure = point()
    rows = sure.described.descriptors.assign(error=np.nan)
    bare = dataclasses.replace(sure, described=dataclasses.replace(sure.described, descriptors=rows))
    assert "from ≈ 1.5 chains" in tables.sentences(bare) and "≈ 75 %" in tables.sentences(bare)


def test_a_box_without_chains_has_no_such_chapter():
    assert not _chains(point(with_chains=False), None, {}).every_block
    assert _chains in CHAPTERS
