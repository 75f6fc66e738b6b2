"""A study as one file: what is in it, an independent reader takes it, and its pages are made from it again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_inputs
from planning import planned, snakemake
from rocrate.rocrate import ROCrate
from tiny_study import PROTOCOL, write_study

from lmbmd.cli.parser import main
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.study import layout
from lmbmd.study.archive import crate
from lmbmd.study.archive.archive import archive
from lmbmd.study.archive.members import RESULTS, SETTINGS, TRAJECTORIES, check, members
from lmbmd.study.study import Run, load_study
from lmbmd.study.why import departures

LICENSE = ["--license", "CC-BY-4.0"]
MARKS = {"": ["compose", "report"], "r1": ["build"], "298.15K": ["describe"], "298.15K/r1": ["simulate", "contacts"]}
NAMES = ("lifsi-dme", "lifsi-dme-tte")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A study of two bottles with the files that its stages write, made up, and a trajectory of each run."""
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_study(folder, "study: mine\nformulations: formulations\n", *NAMES)
    report_inputs.write_study(folder)
    for name in NAMES:
        bottle = folder / "results" / name
        for place, rules in MARKS.items():
            for rule in rules:
                (bottle / place).mkdir(exist_ok=True)
                layout.mark(bottle / place, rule).touch()
        record = bottle / "298.15K" / "r1" / "run.json"
        told = json.loads(record.read_text(encoding="utf-8"))
        told["sessions"] = [{"began": "2026-11-30T09:20:00+00:00"}]
        told["files"] = dict.fromkeys(("trajectory.xtc", "state.csv", "equilibration.csv"), "")
        record.write_text(json.dumps(told), encoding="utf-8")
        (bottle / "298.15K" / "r1" / "trajectory.xtc").write_bytes(os.urandom(5000))
        (bottle / "report.html").write_text(f"<p>{name}</p>", encoding="utf-8")
        (bottle / "references.ris").write_text("TY  - JOUR", encoding="utf-8")
    return folder


def made(out: Path, *kinds: str) -> zipfile.ZipFile:
    known = load_study("config/config.yaml")
    authors = [crate.Author("Ada Lovelace", "https://orcid.org/0000-0002-1825-0097")]
    archive(known, members(known), out, "CC-BY-4.0", authors, kinds or (SETTINGS, RESULTS))
    return zipfile.ZipFile(out)


def test_a_bottle_without_a_title_is_called_by_what_is_in_it(study):
    path = study / "config" / "formulations" / "lifsi-dme.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("title:")), encoding="utf-8")
    told = json.loads(made(study / "a.zip").read("ro-crate-metadata.json"))["@graph"]
    names = {one["@id"]: one.get("name") for one in told}
    assert names["results/lifsi-dme/"] == load_study("config/config.yaml").title("lifsi-dme")
    assert "LiFSI in DME" in names["results/lifsi-dme/"]


def test_settings_results_and_records_are_in_it_and_trajectories_only_if_asked_for(study):
    without, whole = made(study / "a.zip"), made(study / "b.zip", SETTINGS, RESULTS, TRAJECTORIES)
    names = set(without.namelist())
    assert {"config/config.yaml", "config/formulations/lifsi-dme.yaml", "README.md", "environment.txt"} <= names
    run = "results/lifsi-dme/298.15K/r1"
    assert {f"{run}/run.json", f"{run}/.simulate"} <= names
    assert {f"results/lifsi-dme/{name}" for name in ("report.html", "references.ris", ".report")} <= names
    assert set(whole.namelist()) - names == {f"results/{name}/298.15K/r1/trajectory.xtc" for name in NAMES}
    assert "The trajectories are not here" in without.read("README.md").decode()
    assert "numpy==" in without.read("environment.txt").decode()


def test_the_same_content_gives_the_same_bytes(study):
    made(study / "a.zip").close()
    for path in study.rglob("*"):
        os.utime(path)
    made(study / "b.zip").close()
    assert (study / "a.zip").read_bytes() == (study / "b.zip").read_bytes()


def test_every_hash_in_the_list_is_that_of_its_file(study):
    found = made(study / "a.zip")
    lines = found.read("manifest-sha256.txt").decode().splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in lines)
    assert set(found.namelist()) - set(listed) == {"manifest-sha256.txt", crate.METADATA}
    assert all(hashlib.sha256(found.read(name)).hexdigest() == digest for name, digest in listed.items())


def test_an_independent_reader_takes_it(study, tmp_path):
    made(study / "a.zip").extractall(tmp_path / "there")
    read = ROCrate(str(tmp_path / "there"))
    assert read.name == "Solvation in liquid electrolytes: study mine" and read.license.id.endswith("/CC-BY-4.0")
    assert str(read.datePublished).startswith("2026-11-30") and read.root_dataset["author"][0]["name"] == "Ada Lovelace"
    for entity in read.data_entities:
        assert (tmp_path / "there" / entity.id).exists(), entity.id
    for name in NAMES:
        inside = {part.id for part in read.dereference(f"results/{name}/")["hasPart"]}
        assert f"results/{name}/composition.json" in inside
    assert {"lmbmd", "openmm"} <= {one["name"] for one in read.dereference("#made")["instrument"]}


def test_the_description_keeps_the_rules_of_ro_crate(study):
    """Those of the specification, 1.1, that a machine can read: §§ 2.1, 3.1, 4.1 and 4.2."""
    found = made(study / "a.zip")
    told = json.loads(found.read(crate.METADATA))
    assert told["@context"] == "https://w3id.org/ro/crate/1.1/context"
    graph = told["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    assert len(by_id) == len(graph), "each entity is described once"
    head, root = by_id["ro-crate-metadata.json"], by_id["./"]
    assert head["@type"] == "CreativeWork" and head["about"] == {"@id": "./"}
    assert head["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset" and root["name"] and root["description"] and root["license"]["@id"] in by_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root["datePublished"])
    reached, open_ids = set(), [root]
    while open_ids:
        for part in open_ids.pop().get("hasPart", []):
            assert part["@id"] not in reached
            reached.add(part["@id"])
            open_ids.append(by_id[part["@id"]])
    assert reached == {e["@id"] for e in graph if e["@type"] in ("File", "Dataset")} - {"./"}
    for entity in graph:
        for value in entity.values():
            ids = [v["@id"] for v in (value if isinstance(value, list) else [value]) if isinstance(v, dict)]
            assert all(i in by_id or i == head["conformsTo"]["@id"] for i in ids)
        if entity["@type"] in ("File", "Dataset"):
            path = entity["@id"]
            assert not path.startswith("/") and ".." not in path and "\\" not in path and " " not in path
        if entity["@type"] == "File":
            assert entity["contentSize"] == str(found.getinfo(entity["@id"]).file_size)


def test_what_is_not_finished_stays_out_and_is_named(study, capsys):
    layout.mark(study / "results" / "lifsi-dme" / "298.15K", "describe").unlink()
    known = load_study("config/config.yaml")
    listed = members(known)
    assert listed.unfinished == ("lifsi-dme 298.15 K",)
    names = {member.name for member in listed.members}
    assert not any(name.startswith("results/lifsi-dme/") for name in names)
    assert "1 state point of the study had not been finished" in made(study / "a.zip").read("README.md").decode()
    layout.mark(study / "results" / "lifsi-dme-tte" / "298.15K", "describe").unlink()
    assert main(["archive", "b.zip", *LICENSE]) == 2
    assert "nothing of this study is finished" in " ".join(capsys.readouterr().err.split())


def test_links_and_files_of_nobody_stay_out_and_are_named(study):
    (study / "secret").write_text("not of the study", encoding="utf-8")
    results = study / "results" / "lifsi-dme" / "298.15K"
    (results / "r1" / "passwd").symlink_to(study / "secret")
    (results / "my notes; really.txt").write_text("mine", encoding="utf-8")
    (results / ".state.12.partial.csv").write_text("half", encoding="utf-8")
    listed = members(load_study("config/config.yaml"))
    assert {Path(path).name for path in listed.odd} == {"passwd", "my notes; really.txt"}
    assert not {"passwd", ".state.12.partial.csv"} & {member.path.name for member in listed.members}
    assert b"not of the study" not in b"".join(map(made(study / "a.zip").read, zipfile.ZipFile("a.zip").namelist()))


def test_a_link_among_the_settings_keeps_its_own_name(study, tmp_path):
    """So that the study finds its bottles where it was unpacked; two links to one file are two bottles."""
    shared = study / "shared"
    shared.mkdir()
    for name in NAMES:
        place = study / "config" / "formulations" / f"{name}.yaml"
        shutil.move(place, shared / "b0.yaml")
        place.symlink_to("../../shared/b0.yaml")
    found = made(study / "a.zip")
    names = found.namelist()
    assert len(set(names)) == len(names) and not any(name.startswith("shared/") for name in names)
    found.extractall(tmp_path / "there")
    assert load_study(tmp_path / "there" / "config" / "config.yaml").names == NAMES


def test_the_name_of_a_setting_is_that_by_which_the_study_finds_it(study, tmp_path):
    """Also with '..' in it, and if the folder of the study was reached by a link."""
    shutil.move(study / "config" / "formulations", study / "bottles")
    (study / "config" / "config.yaml").write_text("study: mine\nformulations: ../bottles\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(study)
    for place in (Path(), tmp_path / "link"):
        listed = members(load_study(place / "config" / "config.yaml"))
        assert {member.name for member in listed.of(SETTINGS)[1:]} == {f"bottles/{name}.yaml" for name in NAMES}


def test_a_link_to_a_setting_outside_of_the_study_is_refused(study, tmp_path):
    place = study / "config" / "formulations" / "lifsi-dme.yaml"
    shutil.move(place, tmp_path / "elsewhere.yaml")
    place.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(LmbmdError, match="outside of its folder"):
        members(load_study("config/config.yaml"))


def test_results_that_another_recipe_made_are_refused(study):
    """The made-up ones: their composition is not that of the bottles."""
    known = load_study("config/config.yaml")
    with pytest.raises(LmbmdError, match=r"of 'lifsi-dme' were not made by the settings.*: counts\.Li: \d+ → 7;"):
        check(known, members(known))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("study: mine\nformulations: formulations\n", []),
        ("study: mine\nformulations: formulations\nprotocol: {production_ns: 50}\n", ["production_ns: 10.0 → 50.0"]),
        ("study: mine\nformulations: formulations\nprotocol: {timestep_fs: 1}\n", ["timestep_fs: 4.0 → 1.0"]),
        (
            "study: mine\nformulations: formulations\ndefaults: {ion_charge_scale: 0.9}\n",
            ["ion_charge_scale: 0.7 → 0.9"],
        ),
    ],
)
def test_what_a_finished_run_was_made_of_is_compared_with_what_is_asked_for(tmp_path, settings, told):
    before = "study: mine\nformulations: formulations\n"
    write_study(tmp_path, before, "b")
    path, run = tmp_path / "config" / "config.yaml", Run("b", "298.15", 1)
    known, results = load_study(path), tmp_path / "results"
    known.composition("b").write(layout.composition(results, "b"))
    folder = layout.run(results, *run)
    folder.mkdir(parents=True)
    spec = known.spec(*run)
    record = {"stage": stages.SIMULATE, "spec": spec, "production_ns": spec["protocol"]["production_ns"]}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    path.write_text(settings, encoding="utf-8")
    assert departures(load_study(path), run, results) == told


@pytest.mark.parametrize(
    "name",
    ["r1/draft.txt", "298.15K/id_rsa", "298.15K/r1/draft.docx", "298.15K/tables/mine.csv", "x.zip", "../notes.txt"],
)
def test_a_file_that_no_stage_has_named_stays_out_and_is_named(study, name):
    """Also a table of nobody, and an earlier archive."""
    assert members(load_study("config/config.yaml")).odd == ()
    path = study / "results" / "lifsi-dme" / name
    path.write_text("mine", encoding="utf-8")
    listed = members(load_study("config/config.yaml"))
    assert [Path(odd).name for odd in listed.odd] == [path.name]
    assert path.name not in {member.path.name for member in listed.members}


@pytest.mark.parametrize("entry", ["/formulations", "../../elsewhere"])
def test_settings_that_would_lead_nowhere_on_another_machine_are_refused(study, tmp_path, entry):
    """An absolute path, and a folder outside of the study's."""
    place = study / "config" / "formulations"
    given = str(place) if entry.startswith("/") else entry
    if not entry.startswith("/"):
        shutil.copytree(place, tmp_path / "elsewhere")
    (study / "config" / "config.yaml").write_text(f"study: mine\nformulations: {given}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"root of this machine's disk|outside of its folder"):
        members(load_study("config/config.yaml"))


def test_nothing_names_the_folder_in_which_it_was_made(study):
    found = made(study / "a.zip")
    private = [str(study).encode(), str(Path.home()).encode()]
    assert [name for name in found.namelist() if any(path in found.read(name) for path in private)] == []


def test_a_file_that_changes_meanwhile_leaves_no_archive(study):
    known = load_study("config/config.yaml")
    listed = members(known)
    page = study / "results" / "lifsi-dme-tte" / "report.html"
    page.write_text("a page that is being made again", encoding="utf-8")
    before = sorted(study.iterdir())
    with pytest.raises(LmbmdError, match=r"report\.html: the file changed while it was being archived"):
        archive(known, listed, study / "a.zip", "CC-BY-4.0", [], (SETTINGS, RESULTS))
    assert sorted(study.iterdir()) == before


def test_nothing_is_overwritten_and_nobody_is_surprised(study, capsys, monkeypatch):
    (study / "there.zip").write_bytes(b"mine")
    for out, said in {"there.zip": "not overwritten", "a.tar": "ends in .zip"}.items():
        assert main(["archive", out, *LICENSE]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert main(["archive", "a.zip", "--license", "CC-BY-40"]) == 2
    assert "Did you mean 'CC-BY-4.0'?" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))
    assert main(["archive", "a.zip", *LICENSE]) == 2
    out, error = capsys.readouterr()
    assert "trajectories: 10 kB in 2 files; left out" in out and "--yes" in error
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert main(["archive", "a.zip", *LICENSE]) == 0
    assert "Nothing is written." in capsys.readouterr().out and not (study / "a.zip").exists()


def test_authors_and_licences_are_told_rightly_or_refused():
    ada = "https://orcid.org/0000-0002-1825-0097"
    for text in ("Ada Lovelace 0000-0002-1825-0097", f"Ada Lovelace <{ada}>", f"{ada} Ada Lovelace"):
        assert crate.author_of(text) == crate.Author("Ada Lovelace", ada)
    assert crate.author_of(" Ada  Lovelace ") == crate.Author("Ada Lovelace")
    for text, why in {"Ada 0000-0002-1825-0098": "no ORCID", "0000-0002-1825-0097": "no name", "": "no name"}.items():
        with pytest.raises(LmbmdError, match=why):
            crate.author_of(text)
    for text in (f"Ada Lovelace http://orcid.org/{ada[-19:]}/", f"Ada Lovelace orcid:{ada[-19:]}"):
        assert crate.author_of(text) == crate.Author("Ada Lovelace", ada)
    for slip in ("0000-0002-1825-009", "0000-0002-1825-00971", "０000-0002-1825-0097", f"{ada} {ada}", "orcid", "a/b"):
        with pytest.raises(LmbmdError, match="is no name"):
            crate.author_of(f"Ada Lovelace {slip}")
    assert crate.author_of("Ada 0000-0002-1694-233x").orcid.endswith("233X")
    assert crate.license_of("cc-by-4.0") == "CC-BY-4.0" and crate.license_of("https://x.org/terms")
    for text in ("mine", "javascript:alert(1)", "https://x.org/a b"):
        with pytest.raises(LmbmdError, match="no licence that lmbmd knows"):
            crate.license_of(text)


@pytest.mark.parametrize("sessions", [["2026-11-30"], [{"began": "zzz\n<script>"}], [{"began": 5}]])
def test_a_record_whose_sessions_are_not_what_they_should_be_is_named(study, sessions):
    record = study / "results" / "lifsi-dme" / "298.15K" / "r1" / "run.json"
    told = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**told, "sessions": sessions}), encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"run\.json.*sessions"):
        made(study / "a.zip")


def test_an_author_told_twice_is_one(study):
    ada = crate.Author("Ada Lovelace", "https://orcid.org/0000-0002-1825-0097")
    known = load_study("config/config.yaml")
    archive(known, members(known), study / "a.zip", "MIT", [ada, ada], (SETTINGS, RESULTS))
    told = json.loads(zipfile.ZipFile("a.zip").read(crate.METADATA))
    assert [e["name"] for e in told["@graph"] if e["@type"] == "Person"] == ["Ada Lovelace"]


# ---- on real results


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """A study that has been run, with a transport segment."""
    folder = tmp_path_factory.mktemp("real") / "study"
    transport = "transport: {segments: 1, length_ns: 0.004, settle_ns: 0.002, frame_interval_ps: 0.5}\n"
    write_study(folder, f"study: tiny\nformulations: formulations\n{PROTOCOL}{transport}", "tiny")
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.mark.slow
def test_pages_are_made_again_from_what_was_unpacked_elsewhere(real, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(real)
    assert main(["archive", str(tmp_path / "a.zip"), *LICENSE, "--yes"]) == 0, capsys.readouterr().err
    there = tmp_path / "other" / "place"
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert not [name for name in found.namelist() if str(real).encode() in found.read(name)]
        found.extractall(there)
    assert planned(there) == {} and members(load_study(there / "config/config.yaml"), there / "results").odd == ()
    names = ("results/features.csv", "results/claims.csv", "results/tiny/298.15K/descriptors.csv")
    told = {name: (there / name).read_bytes() for name in names}
    for mark in ("results/tiny/298.15K/.describe", "results/tiny/.report", "results/.index"):
        (there / mark).unlink()
    for page in ("results/index.html", "results/tiny/report.html", "results/features.csv"):
        (there / page).unlink()
    before = {p: p.stat().st_mtime_ns for p in (there / "results/tiny/298.15K/r1").rglob("*") if p.is_file()}
    assert planned(there) == {"describe": 1, "report": 1, "index": 1}
    run = snakemake(there)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {name: (there / name).read_bytes() for name in names} == told
    assert {p: p.stat().st_mtime_ns for p in before} == before
    table = [pd.read_parquet(f / "results/tiny/298.15K/descriptors.parquet") for f in (real, there)]
    pd.testing.assert_frame_equal(*table)


RUN = "results/tiny/298.15K/r1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("results/tiny/composition.json", "results/tiny/r1/system.xml", "results/tiny/r1/start.pdb"),
        *("results/tiny/r1/atoms.parquet", "results/tiny/298.15K/described.json"),
        "results/tiny/298.15K/tables/cn.csv",
        *(f"{RUN}/{file}" for file in ("spec.json", "run.json", "state.csv", "final.pdb", "rdf.npz", "contacts.arrow")),
        *(f"{RUN}/t1/{file}" for file in ("spec.json", "start.pdb", "pressure.csv", "contacts.arrow")),
        *(f"{RUN}/sample.xtc", f"{RUN}/trajectory.xtc"),
    ],
)
def test_a_changed_byte_is_not_archived(real, tmp_path, monkeypatch, capsys, name):
    study = tmp_path / "study"
    shutil.copytree(real, study, symlinks=True)
    monkeypatch.chdir(study)
    data = bytearray((study / name).read_bytes())
    data[len(data) // 2] ^= 1
    (study / name).write_bytes(data)
    assert main(["archive", "a.zip", *LICENSE, "--yes"]) == 2
    assert Path(name).name in capsys.readouterr().err.replace("\n", "")
    assert not (study / "a.zip").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("formulations/tiny.yaml", "DME", "DMC", "counts.DME"),
        ("config.yaml", "production_ns: 0.006", "production_ns: 0.008", "production_ns: 0.006 → 0.008"),
        ("config.yaml", "length_ns: 0.004", "length_ns: 0.005", "production_ns: 0.004 → 0.005"),
        ("config.yaml", "protocol:", "analysis: {search_radius_A: 7}\nprotocol:", "search_radius_A"),
    ],
)
def test_results_of_other_settings_are_not_archived(real, tmp_path, monkeypatch, capsys, file, old, new, told):
    study = tmp_path / "study"
    shutil.copytree(real, study, symlinks=True)
    monkeypatch.chdir(study)
    path = study / "config" / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert main(["archive", "a.zip", *LICENSE, "--yes"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'tiny' were not made by the settings" in said and told in said
    assert not (study / "a.zip").exists()


def test_sizes_are_those_of_the_files(study):
    listed = members(load_study("config/config.yaml"))
    assert sum(member.n_bytes for member in listed.of(TRAJECTORIES)) == 10_000
    assert not replace(listed.members[0], n_bytes=1).is_unchanged and listed.members[0].is_unchanged
