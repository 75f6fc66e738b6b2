"""Kills, full disks and damaged files, many of each, on a tiny study as a user runs it.

``python tests/campaign.py kills|disks|damage FIRST LAST FOLDER`` runs cases of one kind, each drawn from its number,
and prints a line of JSON for each; ``study/test_campaign.py`` runs a few of them. On two busy cores a study is killed
some twenty times in ten minutes, a full disk takes a minute or more, and a damaged file ten seconds.

What was run so far: 147 kills (``kills 3 9``), 23 full disks of studies that began with nothing, a box or a production,
78 of finished studies taken back to before a stage (``disks 22 100``), and 163 damaged files (``damage 0 82``, flipped
bytes, and every third of ``damage 80 321``, most of them cut, zeroed or emptied). Nothing was lost, nothing finished
was made again, and no command said another number. Of the last 70 disks 53 were full, and five times Snakemake found no
room for its own copies and ended in a traceback.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

from tiny_study import PROTOCOL, write_study

ROOT = Path(__file__).parents[1]
STUDY = f"""
study: tiny
formulations: formulations
{PROTOCOL}
transport: {{segments: 1, length_ns: 0.004, settle_ns: 0.002, pressure_interval_ps: 0.1, frame_interval_ps: 0.5}}
platform: {{name: CPU, checkpoint_interval_s: 1}}
"""
POINT = Path("tiny", "298.15K")
RUN = POINT / "r1"
SEGMENT = RUN / "t1"
#: A run that is killed again and again gets on all the same: it is checkpointed each second.
MOST_ATTEMPTS = 60
#: Snakemake copies what a job may change before the job begins, and ends in a traceback if the disk is full by then.
SNAKEMAKES_OWN = re.compile(r"No space left on device: .*\.snakemake/")
#: Far more than an undisturbed run of the study takes on a busy machine, s.
WATCHDOG_S = 1800


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def said_file(folder: Path) -> Path:
    """What Snakemake says on a study: beside it, and not on a disk that may be full."""
    return (folder.parent if os.path.ismount(folder.parent) else folder).with_suffix(".said")


def started(folder: Path, *arguments: str) -> subprocess.Popen:
    """Snakemake on the study, in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    with said_file(folder).open("wb") as said:
        return subprocess.Popen(
            [*command, "--cores", "1", *arguments],
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Snakemake on the study to its end: exit code, and what it said."""
    code = started(folder, *arguments).wait(WATCHDOG_S)
    return code, said_file(folder).read_text(encoding="utf-8", errors="replace")


def lmbmd(folder: Path, *arguments: str) -> tuple[int | str, str]:
    """A command in this process, which has imported everything: exit code, or the traceback, and what it said."""
    from lmbmd.cli.parser import main as command

    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            return command(list(arguments)), said.getvalue()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 2, said.getvalue()
        except BaseException:  # noqa: BLE001  # to find what nobody expected is what this is for
            return traceback.format_exc(), said.getvalue()


def finished(folder: Path) -> Path:
    """A study that has been run without disturbance, made once."""
    study = folder / "undisturbed"
    if not (folder / "undisturbed.done").exists():
        shutil.rmtree(study, ignore_errors=True)
        write_study(study, STUDY, "tiny")
        code, said = run(study)
        if code:
            raise AssertionError(said)
        (folder / "undisturbed.done").touch()
    return study


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tracebacks(folder: Path) -> list[str]:
    """Logs of jobs in which something ended in a traceback."""
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("logs/**/*.log")}
    return [f"{path.name}: {text[-600:]}" for path, text in texts.items() if "Traceback" in text]


def numbers(folder: Path) -> dict[str, Any]:
    """What a finished study says, without dates, seconds and what else no two runs share."""
    import pandas as pd

    results = folder / "results"
    table = pd.read_parquet(results / POINT / "descriptors.parquet")
    # Which shells there are depends on the trajectory, which a resumed run does not repeat to the bit.
    found: dict[str, Any] = {"names": sorted(set(table.name))}
    for name in ("tiny/composition.json", "tiny/r1/system.xml", "tiny/r1/start.pdb"):
        text = (results / name).read_text(encoding="utf-8")
        found[name] = json.loads(text)["counts"] if name.endswith("json") else sha256(results / name)
    for place in (RUN, SEGMENT):
        record = json.loads((results / place / "run.json").read_text(encoding="utf-8"))
        state = pd.read_csv(results / place / "state.csv")
        found[str(place)] = [record["n_frames"], record["production_ns"], state.step.tolist(), record["spec"]]
        found[f"{place} files"] = sorted(p.name for p in (results / place).iterdir() if not p.name.startswith("."))
    return found


# ---- kills


def wait_or_kill(process: subprocess.Popen, after_s: float, how: int, whole_group: bool) -> bool:
    """Kill Snakemake, or all of its group, at a moment; whether it was still there."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
        return False
    if whole_group:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(120)
    return True


def outlived(process: subprocess.Popen, patience_s: float) -> bool:
    """Wait until nothing of the group is there any more; whether that took the kernel's help."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return True


def progress(folder: Path) -> dict[str, tuple[str, int]]:
    """Stage and step of the last checkpoint of each run."""
    from lmbmd.simulate import checkpoint
    from lmbmd.simulate.resume import STAGES, RunState

    found = {}
    for place in (RUN, SEGMENT):
        for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
            with contextlib.suppress(Exception):
                state = RunState.of(checkpoint.load(folder / "work" / place / name))
                found[str(place)] = (STAGES.index(state.stage), state.step)
                break
    return found


def kills(number: int, folder: Path) -> dict[str, Any]:
    """One study, killed at random moments until it is done: what was wrong, and how often it was killed."""
    rng = random.Random(f"kills {number}")
    expected, study = numbers(finished(folder)), folder / f"kills-{number}"
    shutil.rmtree(study, ignore_errors=True)
    write_study(study, STUDY, "tiny")
    wrong, killed, unlocked, kept, before = [], 0, 0, {}, {}
    for attempt in range(MOST_ATTEMPTS):
        process = started(study)
        how = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
        # After many, undisturbed to the end.
        whole_group = rng.random() < 0.6
        moment_s = rng.uniform(0.5, 30.0) if attempt < MOST_ATTEMPTS // 2 else WATCHDOG_S
        killed += wait_or_kill(process, moment_s, how, whole_group)
        # Where Snakemake alone was killed its job may go on to its end; that of a closed terminal must not.
        if outlived(process, 120 if whole_group else rng.choice((0, 10))) and whole_group:
            wrong.append(f"attempt {attempt}: something outlived {signal.Signals(how).name}")
        said = said_file(study).read_text(encoding="utf-8", errors="replace")
        for name, sha in kept.items():
            if not (study / "results" / name).exists() or sha256(study / "results" / name) != sha:
                wrong.append(f"attempt {attempt}: {name}, finished, was lost or made again")
        kept = {
            str(place / "trajectory.xtc"): sha256(study / "results" / place / "trajectory.xtc")
            for place in (RUN, SEGMENT)
            if (study / "results" / place / "run.json").exists()
        }
        now = progress(study)
        if any(now.get(place, (-1, -1)) < reached for place, reached in before.items()):
            wrong.append(f"attempt {attempt}: the run went back from {before} to {now}")
        before = now
        if process.returncode == 0:
            break
        if "Directory cannot be locked" in said or "LockException" in said:
            unlocked += 1
        if (study / ".snakemake" / "locks").is_dir() and any((study / ".snakemake" / "locks").iterdir()):
            run(study, "--unlock")
    else:
        wrong.append(f"not done after {MOST_ATTEMPTS} attempts: {said[-1500:]}")
    wrong += tracebacks(study)
    if not wrong:
        found = numbers(study)
        wrong += [
            f"{key} is another: {found[key]} for {expected[key]}"[:400]
            for key in expected
            if found[key] != expected[key]
        ]
        code, said = run(study, "--dry-run")
        if code or "Nothing to be done" not in said:
            wrong.append(f"something is left to do: {said[-800:]}")
        halves = [str(p.relative_to(study)) for p in study.rglob("*.partial*")]
        if halves and killed == 0:
            wrong.append(f"left behind: {halves}")
    if not wrong:
        shutil.rmtree(study)
    return {"kills": killed, "locked": unlocked, "wrong": wrong}


# ---- full disks

#: Rules in the order in which an undisturbed study runs them.
RULES = ("compose", "build", "simulate", "contacts", "segment", "segment_contacts", "describe", "report", "index")


def rule_of(name: Path) -> str:
    """The rule that makes a file of ``results`` or ``work``, by its path from the study's folder."""
    inside = Path(*name.parts[1:])
    if inside.is_relative_to(RUN):
        segment = inside.is_relative_to(SEGMENT)
        if name.name in ("contacts.arrow", "rdf.npz", "sample.xtc", ".contacts", ".segment_contacts"):
            return "segment_contacts" if segment else "contacts"
        return "segment" if segment else "simulate"
    if inside.is_relative_to(POINT):
        return "describe"
    if inside.is_relative_to("tiny/r1"):
        return "build"
    if inside.is_relative_to("tiny"):
        return "compose" if name.name in ("composition.json", ".compose") else "report"
    return "index"


def back_to(study: Path, rule: str, keep_old: bool) -> int:
    """Take back a rule and all after it in a finished study; how large the files of the rule were, bytes.

    With ``keep_old`` only their marks go, as when what was asked for has changed: the old files stay.
    """
    again, size = RULES[RULES.index(rule) :], 0
    for path in [p for top in ("results", "work") for p in (study / top).rglob("*") if p.is_file()]:
        name = path.relative_to(study)
        if rule_of(name) in again:
            # What a file takes of a disk: whole blocks. A run's results are the same blocks as in its work folder.
            counts = rule_of(name) == rule and (name.parts[0] == "results" or name.name.startswith("checkpoint"))
            size += -(-path.stat().st_size // 4096) * 4096 if counts else 0
            if not keep_old or (name.parts[0] == "results" and name.name == f".{rule_of(name)}"):
                path.unlink()
    return size


def on_disk(study: Path) -> dict[str, str]:
    """Hashes of the results that are there."""
    found = [p for p in (study / "results").rglob("*") if p.is_file()]
    return {str(p.relative_to(study)): sha256(p) for p in found if not p.name.startswith(".")}


@cache
def commands(whole: Path) -> dict[str, list[list[str]]]:
    """The arguments of ``lmbmd`` in each rule's shell command, as Snakemake prints them."""
    _, said = run(whole, "--forceall", "--dry-run", "--printshellcmds")
    found: dict[str, list[list[str]]] = {}
    for rule, line in re.findall(r"^(?:local)?rule (\w+):\n(?:.*\n)*?Shell command: (.*)$", said, flags=re.M):
        words = [shlex.split(part) for part in re.sub(r">>? \S+ 2>&1|\bexec ", "", line).split(" && ")]
        found[rule] = [command[command.index("lmbmd") + 1 :] for command in words if "lmbmd" in command]
    return found


def forked(study: Path, command: list[str]) -> tuple[int, str]:
    """A command in a copy of this process, which has imported everything: exit code, and what it said."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
        os.chdir(study)
        code: Any = 1
        try:
            from lmbmd.cli.parser import main as verb

            code = verb(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 2
        except BaseException:  # noqa: BLE001  # as the interpreter would
            traceback.print_exc()
        os._exit(code or 0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def by_hand(study: Path, whole: Path, rule: str) -> tuple[int, str]:
    """The commands of a rule, one after another, without Snakemake: as far as one fails."""
    said = ""
    for command in commands(whole)[rule]:
        code, words = forked(study, command)
        said += words
        if code:
            return code, said
    return 0, said


def unlocked(study: Path, *arguments: str) -> tuple[int, str]:
    """Snakemake on a study, whose lock may have been left by one that could not write."""
    if (study / ".snakemake" / "locks").is_dir() and any((study / ".snakemake" / "locks").iterdir()):
        run(study, "--unlock")
    return run(study, *arguments)


def disks(number: int, folder: Path) -> dict[str, Any]:
    """A finished study taken back to before a random stage, on a file system too small for that stage; then with space.

    How much fits is random too, from nothing to more than what the stage writes, so that the disk is full at any of its
    files. Every fourth case is a study run by Snakemake, and to its end; in the others the stage's own commands are
    given, twice: it has to be made then, and all before it untouched.
    """
    rng = random.Random(f"disks {number}")
    whole = finished(folder)
    warm()
    expected, place = numbers(whole), folder / f"disk-{number}"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(place)], check=True)
    wrong: list[str] = []
    try:
        study = place / "study"
        shutil.copytree(whole, study, symlinks=True)
        rule, to_the_end = rng.choice(RULES), number % 4 == 0
        keep_old = rule not in ("simulate", "segment") and rng.random() < 0.5
        size = back_to(study, rule, keep_old)
        before = on_disk(study)
        earlier = {name: sha for name, sha in before.items() if RULES.index(rule_of(Path(name))) < RULES.index(rule)}
        used = subprocess.run(["du", "-sk", str(place)], capture_output=True, text=True, check=True).stdout.split()[0]
        # Snakemake's own notes take some 40 kB.
        room_k = rng.randrange(0, (40 if to_the_end else 4) + int(1.1 * size / 1024), 4)
        subprocess.run(["mount", "-o", f"remount,size={int(used) + room_k}k", str(place)], check=True)
        code, said = run(study, "--until", rule) if to_the_end else by_hand(study, whole, rule)
        was_full = code != 0
        ours = "Traceback" in said and not SNAKEMAKES_OWN.search(said)
        wrong += [*tracebacks(study), *([said[-1500:]] if ours else [])]
        now = on_disk(study)
        wrong += [f"{name} changed on the full disk" for name in earlier if now.get(name) != before[name]]
        if was_full and keep_old:
            wrong += [f"{name}, whole, is gone" for name in before if name not in now]
            found = numbers(study)
            wrong += [f"{key}: what was there is another"[:400] for key in expected if found[key] != expected[key]]
        subprocess.run(["mount", "-o", "remount,size=200m", str(place)], check=True)
        for _ in range(3):
            code, again = unlocked(study) if to_the_end else by_hand(study, whole, rule)
            if code == 0:
                break
        if code or "Traceback" in again:
            wrong.append(f"does not go on with space: {again[-1500:]}")
        else:
            made = to_the_end or keep_old or RULES.index(rule) >= RULES.index("describe")
            found = numbers(study) if made else {}
            wrong += [f"{key} is another"[:400] for key in found if found[key] != expected[key]]
            done = {str(p.relative_to(whole)) for p in (whole / "results").rglob("*") if p.is_file()}
            upto = [name for name in done if to_the_end or RULES.index(rule_of(Path(name))) <= RULES.index(rule)]
            # Which shells are cut out depends on the trajectory, which differs where it was made anew. A mark
            # is Snakemake's.
            loose = ("/snapshots/", "/tables/", *(() if to_the_end else ("/.",)))
            wrong += [
                f"{name} is missing"
                for name in upto
                if not any(part in name for part in loose) and not (study / name).exists()
            ]
        now = on_disk(study)
        wrong += [f"{name} was made again" for name, sha in earlier.items() if now.get(name) != sha]
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    return {"rule": rule, "old": keep_old, "room_k": room_k, "full": was_full, "end": to_the_end, "wrong": wrong}


# ---- damaged files

#: What is done with a study of which one file is damaged; each may refuse, none may say another number.
COMMANDS = (
    ["why", "tiny"],
    ["export", f"results/{RUN}", "--to", "gromacs", "--out", "exported"],
    [
        *("contacts", "--atoms", "results/tiny/r1/atoms.parquet", "--trajectory", f"results/{RUN}/trajectory.xtc"),
        *("--contacts", f"results/{RUN}/contacts.arrow", "--rdf", f"results/{RUN}/rdf.npz"),
    ],
    [
        *("describe", f"results/{POINT}", "--composition", "results/tiny/composition.json"),
        *("--atoms", "results/tiny/r1/atoms.parquet"),
    ],
    ["report", "tiny"],
    ["index"],
)


#: Which of these read a file, by a part of its path; a file that is not here is read by none of them.
READERS = {
    "composition.json": ("why", "describe", "report"),
    "build.json": ("export",),
    "system.xml": ("why", "export"),
    "start.pdb": ("why", "export"),
    "atoms.parquet": ("export", "contacts", "describe"),
    "trajectory.xtc": ("contacts",),
    "state.csv": ("report",),
    "equilibration.csv": ("report",),
    "pressure.csv": ("describe",),
    "final.pdb": ("export",),
    "run.json": ("why", "export", "describe", "report"),
    "spec.json": ("why", "export", "report"),
    "contacts.arrow": ("why", "describe"),
    "rdf.npz": ("describe",),
    "sample.xtc": ("describe",),
    "described.json": ("why", "report", "index"),
    "descriptors.parquet": ("report", "index"),
    "tables/": ("report",),
    "snapshots": ("report",),
    "checkpoint": ("why",),
}


def readers(name: str) -> list[str]:
    """Verbs that read a file."""
    return next((list(verbs) for part, verbs in READERS.items() if part in name), [])


def published(study: Path) -> list[str]:
    """Every file of results and work that something reads."""
    found = [
        p for p in sorted(study.rglob("*")) if p.is_file() and p.relative_to(study).parts[0] in ("results", "work")
    ]
    unread = (".html", ".png", ".svg", ".bib", ".xyz", ".pdf")
    return [
        str(p.relative_to(study))
        for p in found
        if p.suffix not in unread and not p.name.startswith((".", "lock")) and readers(str(p))
    ]


def said_numbers(study: Path) -> dict[str, str]:
    """What the pages and tables say, without hashes, dates and seconds."""
    found = {}
    for name in ("features.csv", "claims.csv"):
        path = study / "results" / name
        found[name] = path.read_text(encoding="utf-8") if path.exists() else ""
    import pandas as pd

    with contextlib.suppress(OSError):
        table = pd.read_parquet(study / "results" / POINT / "descriptors.parquet")
        found["descriptors"] = table.to_csv(index=False)
    for name in ("topol.top", "conf.gro"):
        path = study / "exported" / name
        found[name] = re.sub(r"^;.*$", "", path.read_text(encoding="utf-8"), flags=re.M) if path.exists() else ""
    return found


def damage(number: int, folder: Path) -> dict[str, Any]:
    """One damaged file of a finished study; then every command that reads it, and the study once more."""
    rng = random.Random(f"damage {number}")
    whole, expected = folder / "calm", folder / "expected.json"
    if not expected.exists():
        calm = whole
        shutil.rmtree(calm, ignore_errors=True)
        shutil.copytree(finished(folder), calm, symlinks=True)
        for command in COMMANDS:
            code, said = lmbmd(calm, *command)
            assert code == 0, said
        expected.write_text(json.dumps(said_numbers(calm)), encoding="utf-8")
        shutil.rmtree(calm / "exported")
    right = json.loads(expected.read_text(encoding="utf-8"))
    study = folder / f"damage-{number}"
    shutil.rmtree(study, ignore_errors=True)
    shutil.copytree(whole, study, symlinks=True)
    names = published(study)
    name, how = names[number % len(names)], ("flip", "cut", "zeros", "empty")[number // len(names) % 4]
    path = study / name
    data, times = path.read_bytes(), path.stat()
    at = rng.randrange(max(len(data), 1))
    changed = {
        "flip": data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else b"\0",
        "cut": data[:at],
        "zeros": data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :],
        "empty": b"",
    }[how]
    if changed == data:
        changed = data + b"\0"
    path.write_bytes(changed)
    if rng.random() < 0.7:  # as a bad block: nobody has touched the file
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    wrong, refusals = [], 0
    codes = []
    for command in COMMANDS:
        if command[0] not in readers(name):
            continue
        code, said = lmbmd(study, *command)
        codes.append(code)
        refusals += code == 2
        if isinstance(code, str) or "Traceback" in said or code not in (0, 2, 85):
            wrong.append(f"{' '.join(command[:2])}: exit code {code}\n{said[-1200:]}")
    found = said_numbers(study)
    # A command that refused has written nothing new, so what is there is what was there.
    wrong += [
        f"{key} says another number"
        for key in right
        if found.get(key)
        and found[key] != right[key]
        and not (name.endswith("descriptors.parquet") and key == "descriptors")
    ]
    code, said = run(study) if number % 10 == 0 else (None, "")
    wrong += tracebacks(study)
    if code == 0:
        found = said_numbers(study)
        differing = [key for key in ("features.csv", "descriptors") if found.get(key) != right[key]]
        wrong += [f"after the study was run again, {key} says another number" for key in differing]
    if not wrong:
        shutil.rmtree(study)
    return {"file": name, "how": how, "refusals": refusals, "codes": codes, "again": code, "wrong": wrong}


KINDS = {"kills": kills, "disks": disks, "damage": damage}


def warm() -> None:
    """Import what the commands import, before they are copies of this process."""
    import matplotlib.pyplot  # noqa: F401
    import MDAnalysis  # noqa: F401
    import numba  # noqa: F401
    import openmm.app  # noqa: F401
    import pandas  # noqa: F401

    import lmbmd.cli.verbs  # noqa: F401
    from lmbmd.report.pages import index, page  # noqa: F401


def main(kind: str, first: int, last: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        print(json.dumps({"kind": kind, "number": number, **KINDS[kind](number, folder)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
