"""The chapter of energies: there where they were asked for, with every number defined; and failures are told."""

from __future__ import annotations

import numpy as np
from quantum_shells import banded, banded_solvent, made_up

from lmbmd.analysis.energies.bands_account import bands_account
from lmbmd.analysis.energies.shells_account import energies_account
from lmbmd.analysis.families import definitions, schemas
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Described, descriptor_frame
from lmbmd.quantum.drawn import Drawn
from lmbmd.quantum.options import QuantumOptions
from lmbmd.quantum.run import nothing
from lmbmd.report.figures.palette import contrast
from lmbmd.report.inputs import StatePoint
from lmbmd.report.pages.chapters import CHAPTERS, PLACED, _energies
from lmbmd.report.tables import energies as tables


def point(replicas) -> StatePoint:
    account = energies_account(replicas) if replicas else None
    rows, found, notes = (account.rows, account.tables, tuple(account.notes)) if account else ([], {}, ())
    for name, table in found.items():
        schemas()[name].check(table)
    return StatePoint(298.15, Described(descriptor_frame(rows), dict(found), notes, {"centre": "Li"}, schemas()))


def test_energies_have_a_chapter_with_figures_tables_and_what_failed():
    rng = np.random.default_rng(1)
    chapter = _energies(point([made_up(rng, failed=2), made_up(rng, failed=0)]), None, {})
    drawings = [d for block in chapter.every_block for d in block.get("drawings", ())]
    assert len(drawings) == 3 and all(d.alt and d.title and d.svg for d in drawings)
    assert "48 shells of 2 replicas were computed by GFN2-xTB in vacuum, as sampled. 2 of them" in chapter.lead
    shown = {block["key"]: block["table"] for block in chapter.every_block if "table" in block}
    assert set(shown) == {"energies", "energies-drawn", "energies-variants", "energies-compared"}
    assert {row[0].definition for row in shown["energies"].rows} <= set(definitions())
    named = {(row[0].text, row[1].text) for row in shown["energies"].rows}
    assert {
        ("Binding of the ion", "CIP"),
        ("Taking a molecule out", "FSI⁻"),
        ("HOMO shift in the shell", "DME"),
    } <= named
    (cip,) = [row for row in shown["energies-drawn"].rows if (row[0].text, row[1].text) == (PRIMARY, "CIP")]
    assert (cip[3].text, cip[4].text) == ("12", "10") and "SCF not converged" in cip[4].remark
    assert any(row[2].text.startswith("PBE0/def2-svp, vacuum") for row in shown["energies-compared"].rows)
    assert all(block["definition"] in definitions() for block in chapter.every_block if "definition" in block)
    assert set(tables.NUMBERS.values()) <= set(definitions())


def test_bands_have_a_curve_and_a_table_of_shifts_by_class():
    account = bands_account([banded(), banded()])
    found = Described(
        descriptor_frame(account.rows), dict(account.tables), tuple(account.notes), {"centre": "Li"}, schemas()
    )
    chapter = _energies(StatePoint(298.15, found), None, {})
    (drawing,) = [d for block in chapter.every_block for d in block.get("drawings", ())]
    assert "CIP" in drawing.alt and "20" in drawing.alt and drawing.title == "S–N–S band of FSI⁻" and drawing.svg
    assert list(drawing.data.columns) == ["species", "kind", "wavenumber_cm", "intensity_cm"]
    (shown,) = [block["table"] for block in chapter.every_block if "table" in block]
    by_name = {row[1].text: row for row in shown.rows}
    assert by_name["Shift in AGG-I"][5].text == "4 of 6" and "let go" in by_name["Shift in AGG-I"][5].remark
    assert by_name["Band of the molecule by itself"][2].text.startswith("726") and "Shift in AGG-II" not in by_name
    assert {row[1].definition for row in shown.rows} == {"bands"} <= set(definitions())
    assert "18 anions FSI were drawn for their band and 16 computed by PBE0/def2-svp." in chapter.lead


def test_bands_of_solvents_are_told_in_words_of_solvents():
    account = bands_account([banded_solvent(), banded_solvent()])
    found = Described(
        descriptor_frame(account.rows), dict(account.tables), tuple(account.notes), {"centre": "Li"}, schemas()
    )
    chapter = _energies(StatePoint(298.15, found), None, {})
    _, drawing = [d for block in chapter.every_block for d in block.get("drawings", ())]
    assert drawing.title == "C=O band of DMC" and drawing.svg
    assert min(contrast(str(line.get_color()), "#ffffff") for line in drawing.figure.axes[0].lines) > 1.4
    assert all(f"{word} ±" in drawing.alt for word in ("free −1.0", "bound −30.0", "bridging −70.0"))
    (shown,) = [block["table"] for block in chapter.every_block if "table" in block]
    words = [row[1].text for row in shown.rows if row[0].text == "DMC"]
    assert words[3:] == [f"Shift of {kind} molecules" for kind in ("free", "bound", "bridging")]
    said = [drawing.alt, drawing.caption, drawing.title, *words]
    assert not any(word in text for text in said for word in ("anion", "SSIP", "CIP", "AGG"))


PRIMARY = "GFN2-xTB, vacuum, sampled"


def test_what_could_not_be_computed_is_told_among_the_remarks():
    drawn = Drawn("Li", np.zeros((1, 4), int), ())
    error = LmbmdError("tblite is not installed.", remedy="Install it: pip install 'lmbmd[quantum]'.")
    found = point([nothing(drawn, QuantumOptions(), error)])
    assert not _energies(found, None, {}).every_block
    (note,) = found.described.notes
    assert note["topic"] not in PLACED and "pip install 'lmbmd[quantum]'" in note["text"]


def test_without_energies_there_is_no_such_chapter():
    assert not _energies(point([]), None, {}).every_block
    assert _energies in CHAPTERS
