"""The study of the reviews' electrolytes (studies/reviews): that it runs, holds what it says, and answers claims."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lmbmd.analysis.energies.shells_account import FREE, MOLECULE, SHELL
from lmbmd.formulation.amounts import contents, parse_amount, same_contents
from lmbmd.literature.catalogue import recipes
from lmbmd.literature.claims import shipped_claims
from lmbmd.study import init
from lmbmd.study.init import Answers
from lmbmd.study.study import load_study

FOLDER = Path(__file__).parents[2] / "studies" / "reviews"
STUDIES = {path.parents[1].name: load_study(path) for path in sorted(FOLDER.glob("*/config/config.yaml"))}
ENERGIES = {quantity.name for kind in (SHELL, MOLECULE, FREE) for quantity in kind.values()}
JUDGEABLE = [claim for file in shipped_claims() for claim in file.claims if claim.test in ("md", "proxy")]


def answered(name):
    """Claims about bottles and temperatures that this study has; those about energies need that it asks for them."""
    study = STUDIES[name]
    states = {(bottle, T) for bottle in study.names for T in study.formulation(bottle).temperature_K}
    found = []
    for claim in JUDGEABLE:
        if claim.number.name in ENERGIES and study.quantum is None:
            continue
        wide = claim.box_nm is None or name == "cipa"
        bottles = [(claim.formulation, claim.temperature_K)]
        if claim.versus:
            bottles.append((claim.versus, claim.versus_temperature_K or claim.temperature_K))
        if wide and all(any(b == bottle and T in (None, at) for b, at in states) for bottle, T in bottles):
            found.append(claim)
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_a_bottle_holds_what_that_of_the_catalogue_holds(name):
    """So the shipped claims are judged from it."""
    study = STUDIES[name]
    known = recipes([*study.names, "lifsi-dme-4m"])
    own = {
        bottle: contents({row.component: parse_amount(row.text) for row in study.composition(bottle).asked_realised})
        for bottle in study.names
    }
    assert set(own) - set(known) <= {"lifsi-dme-4m-solvent"}, "the other reading of the litre is in no catalogue"
    for bottle in set(own) & set(known):
        assert same_contents(own[bottle], known[bottle]), bottle
    if "lifsi-dme-4m-solvent" in own:
        assert not same_contents(own["lifsi-dme-4m-solvent"], known["lifsi-dme-4m"])


def test_the_studies_answer_as_many_claims_as_their_description_says():
    text = (FOLDER / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\S+)` \|[^|]*\|[^|]*\| (\d+) \|", text, re.MULTILINE))
    assert rows == {name: str(len(answered(name))) for name in STUDIES}
    claims = " ".join((FOLDER.parents[1] / "docs" / "claims.md").read_text("utf-8").split())
    assert f"a study that could answer {len(answered('main'))} of them" in claims
    assert len(answered("main")) >= 25 and len(STUDIES["main"].names) >= 12


def test_the_variants_differ_from_the_main_study_in_the_model_alone():
    main = STUDIES["main"]
    for name, ff, scale in (("opls-clp", "opls-clp-1.1.0", 0.8), ("scale-1", "sage-clp-2.0.0", 1.0)):
        study = STUDIES[name]
        assert study.protocol == main.protocol and set(study.names) < set(main.names)
        for bottle in study.names:
            one, other = study.formulation(bottle), main.formulation(bottle)
            assert (one.force_field, one.ion_charge_scale) == (ff, scale)
            changed = {"force_field": other.force_field, "ion_charge_scale": other.ion_charge_scale}
            assert one.model_dump() | changed == other.model_dump()


def generator():
    """studies/reviews/page.py as a module."""
    spec = importlib.util.spec_from_file_location("reviews_page", FOLDER / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_verdicts_that_results_give_and_no_others(tmp_path):
    page = generator().page
    with pytest.raises(FileNotFoundError, match=r"has results/claims\.csv"):
        page(tmp_path)
    claim = {"id": "c1", "text": "More | anions.", "source": "review-b", "ref": "177", "doi": "10.1/x"}
    claim |= {"formulation": "lifsi-dme-4m", "versus": "lifsi-dme-1m", "temperature_K": 298.15}
    claim |= {"estimand": "difference"}
    claim |= {"proxy": False, "partner_assumed": True, "unit": "1", "value": 3.0, "error": 0.1, "versus_value": 1.0}
    claim |= {"versus_error": 0.1, "estimate": 2.0, "estimate_error": 0.14, "low": 1.7, "high": 2.3, "reason": ""}
    for study, verdict in (("main", "supported"), ("scale-1", "contradicted")):
        (tmp_path / study / "results").mkdir(parents=True)
        changes = [
            {"verdict": verdict},
            {"verdict": "not run", "id": "c2", "text": "Not looked at."},
            {"verdict": "undecided", "id": "c3", "text": "Of two pairs.", "formulation": "litfsi-g4-sil"},
        ]
        rows = [{**claim, **change} for change in changes]
        pd.DataFrame(rows).to_csv(tmp_path / study / "results" / "claims.csv", index=False)
    text = page(tmp_path)
    (line,) = [line for line in text.splitlines() if "More" in line]
    begin = "| More \\| anions. (298.15 K) *bottle ours* | [B 177](https://doi.org/10.1/x) | **supported**"
    assert line.startswith(begin)
    assert "3.00 ± 0.10 against 1.00 ± 0.10; difference 2.00 ± 0.14" in line and "**contradicted**" in line
    assert "| Of two pairs." in text.split("## Across the pairs")[1]
    assert "Not looked at" not in text and text.count("Not run.") == 10
    assert "`main` (sage-clp, × 0.7), `scale-1` (sage-clp, × 1.0)" in text and "opls" not in text


def test_the_pairs_are_bottles_of_the_studies_and_stand_in_their_description():
    text = (FOLDER / "README.md").read_text("utf-8")
    known = {bottle for study in STUDIES.values() for bottle in study.names}
    pairs = yaml.safe_load((FOLDER / "pairs.yaml").read_text("utf-8"))
    assert {bottle for pair in pairs for bottle in pair["bottles"]} == known
    for pair in pairs:
        assert f"| {pair['pair']} |" in text and pair["question"] in text


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_are_planned_by_snakemake(tmp_path, name):
    shutil.copytree(FOLDER, tmp_path / "reviews")
    study, _ = init.init(tmp_path / "reviews" / name, Answers(()))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "host"]
    done = subprocess.run(
        command, cwd=tmp_path / "reviews" / name, env={**os.environ}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^simulate +{len(study.runs())}$", done.stdout, re.MULTILINE), done.stdout
