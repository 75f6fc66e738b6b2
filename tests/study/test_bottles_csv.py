"""Bottles from a table: what is told is read to the digit, what is not told is refused by line and column."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from formulation_tables import CODEBOOK, OM_DATA

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import load_library
from lmbmd.study.bottles_csv import Codebook, read_bottles, refused_text
from lmbmd.study.init import Answers, init
from lmbmd.study.study import load_study

TOLD = Codebook.model_validate(yaml.safe_load(CODEBOOK))


def table(*rows: dict[str, str]) -> str:
    """CSV with a column for each key."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


#: A row that is a bottle.
ROW = {
    "name": "a",
    "units": "mol/kg of solvent",
    "cation1": "Li",
    "cation1_conc": "1",
    "anion1": "FSI",
    "anion1_conc": "1",
    "solvent1": "DME",
    "solvent1_ratio": "1",
}


def read(folder: Path, text: str | bytes, codebook: Codebook = TOLD):
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_bottles(path, codebook, load_library(), lambda name, data: None)


def why(folder: Path, codebook: Codebook = TOLD, **changed: str) -> str:
    """Why a row is refused in which these cells are other ones."""
    bottles, refused = read(folder, table({**ROW, **changed}), codebook)
    assert not bottles and len(refused) == 1
    return refused_text(refused)


def test_a_table_of_om_data_becomes_a_study(tmp_path, capsys):
    (tmp_path / "elytes.csv").write_text(OM_DATA, encoding="utf-8")
    (tmp_path / "codebook.yaml").write_text(CODEBOOK, encoding="utf-8")
    given = ["--from-csv", str(tmp_path / "elytes.csv"), "--codebook", str(tmp_path / "codebook.yaml")]
    assert main(["init", str(tmp_path / "study"), *given]) == 0, capsys.readouterr().err
    study = load_study(tmp_path / "study" / "config" / "config.yaml")
    assert study.names == ("ether-hightemp", "gen2", "lhce-2", "mixed")
    gen2 = study.formulation("gen2")
    assert {name: str(a) for name, a in gen2.salts.items()} == {"LiPF6": "1.2 mol/L of solvent"}
    assert {name: str(a) for name, a in gen2.solvents.items()} == {"EC": "1 mol parts", "EMC": "2 mol parts"}
    assert (gen2.temperatures, gen2.title) == (("300",), "Gen2")
    assert gen2.source == "doi:10.1039/d1sc04265c; Li; line 2 of elytes.csv"
    mixed = study.formulation("mixed")
    assert {name: a.value for name, a in mixed.salts.items()} == {"LiFSI": 2.0, "LiPF6": 0.2}
    counts = study.composition("lhce-2").counts
    assert counts["DME"] / counts["Li"] == pytest.approx(1.2, rel=0.03)
    assert counts["TTE"] / counts["Li"] == pytest.approx(3, rel=0.03)


def test_amounts_come_back_to_the_digit(tmp_path):
    """A table written from bottles, and read again, holds the same bottles."""
    salts = {"LiFSI": {"Li": 1, "FSI": 1}, "MgTFSI2": {"Mg": 1, "TFSI": 2}, "LiTFSI": {"Li": 1, "TFSI": 1}}
    library = load_library()
    salts = {name: ions for name, ions in salts.items() if name in library.salts}
    assert len(salts) >= 2
    numbers = ["0.0960904274551052", "1.2", "20", "1e-3", "0.1"]
    rows, wanted = [], {}
    for k, number in enumerate(numbers):
        for salt, ions in salts.items():
            (cation, n), (anion, m) = ions.items()
            name, told = f"{salt.lower()}-{k}", {"cation1": cation, "anion1": anion}
            told |= {"cation1_conc": str(n * Decimal(number)), "anion1_conc": str(m * Decimal(number))}
            rows.append({**ROW, **told, "name": name})
            wanted[name] = (salt, float(number))
    bottles, refused = read(tmp_path, table(*rows))
    assert not refused
    assert {
        name: (salt, float(text.split()[0])) for name, data in bottles.items() for salt, text in data["salts"].items()
    } == wanted


def test_full_amounts_salts_diluents_and_additives_need_no_codebook(tmp_path):
    row = {"name": "a", "salt1": "LiFSI", "salt1_conc": "1 mol/L of solution", "solvent1": "DME"}
    row |= {"solvent1_ratio": "3 volume parts", "diluent1": "TTE", "diluent1_ratio": "1 volume parts"}
    row |= {"additive1": "FEC", "additive1_amount": "2 wt%", "temperature": ""}
    bottles, refused = read(tmp_path, table(row), Codebook())
    assert not refused
    bottle = {key: value for key, value in bottles["a"].items() if key not in ("title", "source")}
    assert bottle == {
        "salts": {"LiFSI": "1 mol/L of solution"},
        "solvents": {"DME": "3 volume parts"},
        "diluents": {"TTE": "1 volume parts"},
        "additives": {"FEC": "2 wt%"},
    }


NOTHING = Codebook()


@pytest.mark.parametrize(
    ("changed", "codebook", "said"),
    [
        ({"units": "volume"}, NOTHING, "column units: 'volume' does not say what the amounts count"),
        ({"units": ""}, NOTHING, "column units: nothing says what the amounts count"),
        ({"units": "mol/L"}, NOTHING, "column units: 'mol/L' does not say"),
        ({"solvent2": "TTE", "solvent2_ratio": "1"}, NOTHING, "column solvent1_ratio: nothing says whether the ratios"),
        ({"solvent1": "C4H10O2"}, NOTHING, "column solvent1: 'C4H10O2' is a formula.*if DME.*'names: {C4H10O2: DME}'"),
        ({"anion1": "F6P-"}, NOTHING, "column anion1: 'F6P-' is a formula.*'names: {F6P-: PF6}'"),
        ({"solvent1": "DMEE"}, TOLD, "column solvent1: there is no species 'DMEE'. Did you mean"),
        ({"solvent1": "../../etc/passwd"}, TOLD, "column solvent1: there is no species"),
        ({"cation1": "FSI"}, TOLD, r"column cation1: FSI \(-1 e\) is no cation"),
        ({"solvent1": "Li"}, TOLD, "Li is an ion"),
        ({"cation1_conc": "2"}, TOLD, r"column cation1: the ions are not neutral: 2 Li, 1 FSI add up to \+1 e"),
        (
            {"cation2": "Na", "cation2_conc": "1", "anion2": "PF6", "anion2_conc": "1"},
            TOLD,
            "Li and Na with FSI and PF6 can be of different salts",
        ),
        ({"anion2": "FSI", "anion2_conc": "1"}, TOLD, "column anion2: FSI stands here twice"),
        ({"solvent2": "DME", "solvent2_ratio": "1"}, TOLD, "column solvent2: DME stands here twice"),
        ({"cation1_conc": "-1"}, TOLD, "column cation1_conc: '-1' is no positive number"),
        ({"solvent1_ratio": "-1"}, TOLD, "column solvent1_ratio: '-1' is no positive number"),
        ({"cation1_conc": "0"}, TOLD, "column cation1_conc: '0' is not a positive number"),
        ({"cation1_conc": "1,2"}, TOLD, "column cation1_conc: '1,2' is no positive number"),
        ({"cation1_conc": "nan"}, TOLD, "'nan' is no positive number"),
        ({"cation1_conc": "inf"}, TOLD, "'inf' is no positive number"),
        ({"cation1_conc": "1e999999"}, TOLD, "is no positive number"),
        ({"cation1_conc": "9" * 1900}, TOLD, "is no positive number"),
        ({"cation1_conc": "9" * 5000}, TOLD, "column cation1_conc: the cell has 5000 characters"),
        ({"solvent1": "H" + "9" * 1900}, TOLD, "column solvent1: there is no species"),
        ({"cation1_conc": ""}, TOLD, "column cation1_conc: 'Li' has no amount"),
        ({"anion1": ""}, TOLD, "column anion1: '1' is an amount of nothing"),
        ({"solvent1_ratio": "10 %"}, TOLD, "column solvent1_ratio: '10 %' does not say whether it is by mass"),
        ({"solvent1_ratio": "0"}, TOLD, "column solvent1_ratio: '0' is not a positive number"),
        ({"solvent1_ratio": "0.0"}, NOTHING, "column solvent1_ratio: '0.0' is not a positive number"),
        ({"solvent1": "", "solvent1_ratio": "", "diluent1": "TTE", "diluent1_ratio": "0e5"}, TOLD, "ratio: '0e5'"),
        ({"solvent1_ratio": "0 mol parts"}, TOLD, "column solvent1_ratio: '0 mol parts' is not a positive amount"),
        ({"additive1": "FEC", "additive1_amount": "0"}, TOLD, "column additive1_amount: '0' is not a positive number"),
        ({"temperature": "0"}, TOLD, "column temperature: '0' is not a positive number"),
        ({"temperature": "25 C"}, TOLD, "column temperature: '25 C' is no positive number"),
        ({"name": ""}, TOLD, "column name: '' cannot name a bottle"),
        ({"name": "../x"}, TOLD, "column name: '../x' cannot name a bottle"),
        ({"name": "/etc/passwd"}, TOLD, "cannot name a bottle"),
        ({"name": "a\\b"}, TOLD, "cannot name a bottle"),
        ({"name": ".hidden"}, TOLD, "cannot name a bottle"),
        ({"name": "index.html"}, TOLD, "cannot name a bottle"),
        ({"name": "=HYPERLINK(1)"}, TOLD, "cannot name a bottle"),
        ({"name": "x" * 300}, TOLD, "cannot name a bottle"),
        ({"name": "LiFSI ½ M"}, TOLD, "column name: 'LiFSI ½ M' cannot name a bottle"),
        ({"name": "ﬁ→"}, TOLD, "cannot name a bottle"),
        ({"name": "10⁻²"}, TOLD, "cannot name a bottle"),
        ({"name": "Lösung ß"}, TOLD, "cannot name a bottle"),
        ({"category": "=cmd|' /C calc'!A0"}, TOLD, "column category: .* begins like a formula of a spreadsheet"),
        ({"doi": "@SUM(1)"}, TOLD, "column doi: .* begins like a formula of a spreadsheet"),
        *(
            ({column: "1\x1b[2J\x1b[31mDME"}, TOLD, rf"column {column}: '1\\x1b.* cannot be printed")
            for column in (*ROW, "doi", "category", "temperature", "salt1", "salt1_conc", "additive1_amount")
        ),
        ({"solvent1": "DME\u202e"}, TOLD, "column solvent1: .* cannot be printed"),
    ],
)
def test_what_is_not_told_or_cannot_be_is_refused_by_line_and_column(tmp_path, changed, codebook, said):
    if changed == {"solvent1": "Li"}:  # only composing it tells
        (tmp_path / "t.csv").write_text(table({**ROW, **changed}), encoding="utf-8")
        with pytest.raises(LmbmdError, match=said):
            init(tmp_path / "study", Answers((), table=tmp_path / "t.csv"))
        assert not (tmp_path / "study").exists()
        return
    assert re.match(f"line 2, .*{said}", why(tmp_path, codebook, **changed)), why(tmp_path, codebook, **changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table(ROW).encode("utf-16"), "byte 0 is not UTF-8.*CSV UTF-8"),
        ("name,solvent1,solvent1_ratio\nä,DME,1\n".encode("latin-1"), "is not UTF-8"),
        (table(ROW).replace("DME", "D\0ME"), "this is no text"),
        (table(ROW).replace(",", ";"), "not separated by commas"),
        (table(ROW).replace("cation1_conc", "cation1_cnoc"), "'cation1_cnoc' is no column.*Did you mean"),
        (table(ROW).replace("anion1_conc", "cation1_conc"), "the column 'cation1_conc' is there twice"),
        (table(ROW).replace("name", "doi"), "no column 'name'"),
        (table(ROW) + "b,1\n", "line 3: the row has 2 cells, and there are 8 columns"),
        (table(ROW) + '"b,1\n', "line 3: this is no CSV"),
        ("", "no row below"),
        ("name\n", "no row below"),
        (f"name,{','.join(f'solvent{k}' for k in range(1, 99))},{'x,' * 150}\n1\n", "columns"),
        ("name\n" + "x\n" * 30_000, "more than 20000 rows"),
        ("name\n" + "x" * 2**25, "more than the 16777216"),
        ("name\n" + '"' + "x" * 2**20 + '"\n', "this is no CSV: field larger"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, text, said):
    with pytest.raises(LmbmdError, match=said):
        read(tmp_path, text)


def test_what_is_no_file_is_said_so(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.csv"):
        with pytest.raises(LmbmdError, match="no such file"):
            read_bottles(path, TOLD, load_library(), lambda name, data: None)


def test_a_byte_order_mark_quotes_and_other_ends_of_lines_are_read(tmp_path):
    plain, refused = read(tmp_path, table(ROW))
    quoted = "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in table(ROW).splitlines())
    again, others = read(tmp_path, b"\xef\xbb\xbf" + f"{quoted}\r\n\r\n,,,,,,,\r\n".encode())
    assert not refused and not others and again == plain and list(plain) == ["a"]


def test_accents_and_signs_that_stand_for_letters_and_digits_may_be_in_names(tmp_path):
    bottles, refused = read(tmp_path, table({**ROW, "name": "Première ﬁole CO₂"}))
    assert not refused and list(bottles) == ["premiere-fiole-co2"]
    assert bottles["premiere-fiole-co2"]["title"] == "Première ﬁole CO₂"


def test_a_superscript_is_no_digit_of_a_name(tmp_path):
    bottles, refused = read(tmp_path, table({**ROW, "name": "10² M"}))
    assert not bottles and "'10² M' cannot name a bottle" in refused_text(refused)


def test_white_space_of_any_kind_is_one_space(tmp_path):
    spaced = {**ROW, "name": "a\u00a0 b", "units": "mol/kg\nof\u202fsolvent", "solvent1_ratio": "3\u00a0volume\tparts"}
    bottles, refused = read(tmp_path, table(spaced))
    plain, _ = read(tmp_path, table({**ROW, "name": "a b", "solvent1_ratio": "3 volume parts"}))
    assert not refused and {**bottles["a-b"], "source": ""} == {**plain["a-b"], "source": ""}


@pytest.mark.parametrize("name", ["x.csv\nreplicas: 99\nion_charge_scale: 0.5\n#.csv", "\x1b[2J.csv"])
def test_the_name_of_a_table_writes_no_lines_into_a_bottle(tmp_path, capsys, name):
    (tmp_path / name).write_text(table(ROW), encoding="utf-8")
    assert main(["init", str(tmp_path / "study"), "--from-csv", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert "name of this file" in " ".join(said.split()) and "\x1b" not in said
    assert not (tmp_path / "study").exists()


def test_nothing_of_a_table_or_a_codebook_steers_the_terminal(tmp_path, capsys):
    rows = [ROW, {**ROW, "name": "b", "solvent1": "\x1b[31mDME"}, {**ROW, "name": "c", "solvent1": "Xyzzy"}]
    (tmp_path / "t.csv").write_text(table(*rows), encoding="utf-8")
    (tmp_path / "c.yaml").write_text('names: {Xyzzy: "\\e[2J\\r\\nDME"}\n', encoding="utf-8")
    files = ["--from-csv", str(tmp_path / "t.csv"), "--codebook", str(tmp_path / "c.yaml")]
    given = ["init", str(tmp_path / "study"), *files]
    assert main(given) == 2
    assert main([*given, "--skip-refused"]) == 0
    said = capsys.readouterr()
    for text in (said.err, said.out):
        assert "\\x1b[31mDME" in text and "\\x1b[2J DME" in text
        assert not set(text) & {"\x1b", "\r"}
    (tmp_path / "c.yaml").write_text('"\\e[2J\\rnames": {}\n', encoding="utf-8")
    assert main(given) == 2
    said = capsys.readouterr()
    assert "unknown key '\\x1b[2J\\rnames'" in " ".join(said.err.split()) and not set(said.err) & {"\x1b", "\r"}


def test_two_rows_of_one_name_are_not_one_bottle(tmp_path):
    bottles, refused = read(tmp_path, table(ROW, {**ROW, "name": "A"}, {**ROW, "name": "a b"}))
    assert set(bottles) == {"a", "a-b"}
    assert refused_text(refused) == "line 3, column name: 'a' is the name of line 2, too. Give each row its own."


def test_nothing_is_written_unless_all_rows_are_read_or_those_that_are_not_may_go(tmp_path, capsys):
    rows = [ROW, {**ROW, "name": "b", "solvent1": "Xyzzy"}, {**ROW, "name": "c", "solvent1": "Xyzzy"}]
    (tmp_path / "t.csv").write_text(table(*rows), encoding="utf-8")
    given = ["init", str(tmp_path / "study"), "--from-csv", str(tmp_path / "t.csv")]
    assert main(given) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 3 rows cannot be read" in said
    assert "line 3, column solvent1 (and 1 more row): there is no species" in said
    assert not (tmp_path / "study").exists()
    assert main([*given, "--skip-refused"]) == 0
    assert "2 rows: line 3, column solvent1" in " ".join(capsys.readouterr().out.split())
    assert load_study(tmp_path / "study" / "config" / "config.yaml").names == ("a",)
    assert main([*given, "--skip-refused"]) == 2
    assert "this bottle exists" in " ".join(capsys.readouterr().err.split())


def test_a_codebook_is_checked_like_any_file(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(table(ROW), encoding="utf-8")
    for text, said in {"unit: {}\n": "Did you mean 'units'", "units: {volume: mol/L}\n": "mol/L"}.items():
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        given = ["--from-csv", str(tmp_path / "t.csv"), "--codebook", str(tmp_path / "c.yaml")]
        assert main(["init", str(tmp_path / "study"), *given]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert main(["init", str(tmp_path / "study"), "--codebook", str(tmp_path / "c.yaml")]) == 2
    assert "--from-csv" in capsys.readouterr().err


def test_quick_makes_the_bottles_of_a_table_small(tmp_path):
    (tmp_path / "t.csv").write_text(table(ROW), encoding="utf-8")
    assert main(["init", str(tmp_path / "study"), "--quick", "--from-csv", str(tmp_path / "t.csv")]) == 0
    assert load_study(tmp_path / "study" / "config" / "config.yaml").composition("a").n_atoms < 3000
