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
from lmbmd.analysis.features import FEATURES
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
    for name, ff, scale in (("opls-clp", "opls-clp-1.1.0", 0.8), ("scale-1", "sage-clp-2.1.0", 1.0)):
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


def numbers(bottle, ns, *, T=298.15, verdict="long enough", **values):
    """A feature table of one state point: each value with an error of 0.02."""
    shares = {"ssip_fraction_anion": 0.5, "cip_fraction_anion": 0.4, "agg_fraction_anion": 0.1}
    values = {"sampled_ns": ns, **shares, **values}
    row = {"formulation": bottle, "temperature_K": T, "error": 0.02, "unit": "1", "n_effective": 50.0}
    row |= {"degrees_of_freedom": 40.0, "method": "m", "definition": "d", "doubt": "", "doubt_kind": ""}
    row |= {"doubt_n": None, "box_limited": False, "verdict": verdict, "replicas": 3, "recipe": ""}
    row |= {"force_field": "sage-clp-2.1.0"}
    row |= {"ion_charge_scale": 0.7, "recipe_sha256": bottle}
    keys = [key.partition("__")[::2] for key in values]
    found = [{**row, "name": n, "species": s, "value": v} for (n, s), v in zip(keys, values.values(), strict=True)]
    return pd.DataFrame(found)[FEATURES.names]


def test_the_page_judges_what_was_kept_and_nothing_else(tmp_path):
    made = generator()
    with pytest.raises(FileNotFoundError, match="has no results"):
        made.page(tmp_path, tmp_path / "page.md")
    one = numbers("lifsi-dme-1m", 15.0, cip_agg_fraction_anion=0.5, anion_cn=0.9, solvent_cn__DME=2.0, count__DME=70)
    four = numbers("lifsi-dme-4m", 15.0, cip_agg_fraction_anion=0.9, anion_cn=2.1, anion_cn__FSI=2.1, count__FSI=59)
    short = numbers("lifsi-dme-tte-3-7-1m", 1.0, verdict="too short", anion_cn=0.1)
    (tmp_path / "kept").mkdir()
    for study, tables in (("small", (one, four, short)), ("scale-1", (one, four.assign(value=0.0)))):
        pd.concat(tables).to_parquet(tmp_path / "kept" / f"{study}.parquet")
        (tmp_path / "kept" / f"{study}-runs.csv").write_text("core_hours\n1.25\n2.25\n", encoding="utf-8")
    text = made.page(tmp_path, tmp_path / "page.md")
    (line,) = [line for line in text.splitlines() if line.startswith("| ") and "lifsi-dme-4m-c1" in ids_of(line)]
    small, scaled = line.split(" | ")[2:]
    assert small.startswith("**supported**") and scaled.startswith("**contradicted**"), line
    assert "0.90 ± 0.02 against 0.50 ± 0.02; difference 0.40 ± 0.03" in small
    assert "`small` | sage-clp, × 0.7, small boxes | 3 | 31 | 4 |" in text and "`main`" not in text
    assert "the run is too short" in text and "Not run: `lifsi-dme-2m`, `lifsi-dme-4m-solvent`." in text
    assert text.count("\n\nNot run.") == 8, "pairs 1 and 2, and 11 with the bottle of pair 1"
    figure = (tmp_path / "images" / "reviews-1.svg").read_text("utf-8")
    assert "lifsi-dme-4m" in figure and "share of the anions" in figure


def ids_of(line):
    """The ids of the claims whose words a line of the page has."""
    return [claim.id for claim in JUDGEABLE if f"| {claim.text}" in line]


def test_what_was_sampled_longer_is_kept(tmp_path):
    merged = generator().merged
    old = pd.concat([numbers(name, ns, anion_cn=1.0) for name, ns in (("a", 5.0), ("b", 15.0), ("c", 5.0))])
    new = pd.concat([numbers(name, 5.0, anion_cn=2.0) for name in "abd"])
    both = merged(old, new)
    found = both[both.name == "anion_cn"].set_index("formulation").value.to_dict()
    assert found == {"a": 2.0, "b": 1.0, "c": 1.0, "d": 2.0}
    assert not both.duplicated(["formulation", "temperature_K", "name", "species"]).any()
    law = numbers("a", 5.0, T=float("nan"), activation_energy_kJ_mol=1.0)
    law = law[law.name == "activation_energy_kJ_mol"]
    both = merged(pd.concat([old, law]), pd.concat([new, law.assign(value=2.0)]))
    assert both[both.temperature_K.isna()].value.tolist() == [2.0], "of all temperatures: the newer one"
    assert merged(pd.concat([old, law]), new[new.formulation == "d"]).temperature_K.isna().sum() == 1


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
