"""Does Snakemake stay usable with a thousand bottles? Seconds and memory of what a user waits for.

    python -m benchmarks.scale                         # 1 000 formulations × 3 replicas
    python -m benchmarks.scale --formulations 100

No MD is run: the study's files are empty and `snakemake --touch` tells Snakemake that they are finished, so that its
records are those of a real study. The limits that are printed are for two quiet cores.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

STUDY = """\
study: scale
formulations: formulations
"""
#: Compiled modules are kept between starts, as everywhere but in some containers.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
#: Says how much memory its child took. A child starts with the peak of whoever forks it, so the forker must be small.
PEAK = """\
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak_kB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
#: Snakemake without the tenth of a second that it rests for every job that it touches.
UNRESTING = """\
import sys
from snakemake import cli
from snakemake.executors import touch
touch.Executor.SLEEPING_TIME = 0.0
cli.main(sys.argv[1:])
"""
#: Every recipe differs, as in a screening.
BOTTLE = """\
title: {title}
salts: {{LiFSI: {molality} mol/kg of solvent}}
solvents: {{DME: {parts} mol parts, DOL: 1 mol parts}}
replicas: {replicas}
size: {{ion_pairs: 200}}
"""


class Measured(NamedTuple):
    """One Snakemake command: its jobs by rule, what it printed, its wall and CPU time, and its peak memory.

    CPU time is the wall time of a quiet machine, nearly: Snakemake plans on one core.
    """

    jobs: dict[str, int]
    text: str
    wall_s: float
    cpu_s: float
    peak_MB: float


def write_bottle(study: Path, number: int, replicas: int) -> str:
    """Add a bottle to a study and give its name."""
    name = f"bottle-{number:05d}"
    molality, parts = 0.5 + 0.01 * (number % 250), 1 + number // 250
    text = BOTTLE.format(title=name, molality=f"{molality:.2f}", parts=parts, replicas=replicas)
    (study / "config" / "formulations" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return name


def write_study(study: Path, formulations: int, replicas: int) -> None:
    """A study of many bottles in a new folder."""
    (study / "config" / "formulations").mkdir(parents=True)
    (study / "config" / "config.yaml").write_text(STUDY, encoding="utf-8")
    for number in range(formulations):
        write_bottle(study, number, replicas)


def snakemake(study: Path, *arguments: str) -> Measured:
    """Run Snakemake on a study; its failure is ours."""
    program = ["-c", UNRESTING] if "--touch" in arguments else ["-m", "snakemake"]
    command = [sys.executable, *program, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(study), *arguments]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PEAK, *command], env=ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began
        out.seek(0)
        text, _, peak_kB = out.read().rpartition("peak_kB")
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{text[-4000:]}")
    table = text.split("Job stats:")[1].split("\n\n")[0] if "Job stats:" in text else ""
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}
    jobs.pop("total", None)
    return Measured(jobs, text, wall_s, usage.ru_utime + usage.ru_stime, int(peak_kB) / 1024)


def pretend_finished(study: Path) -> None:
    """Make every output of a study an empty file that Snakemake takes for finished."""
    listed = snakemake(study, "--summary").text
    for line in listed.splitlines():
        path = line.split("\t")[0]
        if not path.startswith("results/"):
            continue
        target = study / path
        if not target.suffix and not target.name.startswith("."):  # a folder of files, not a mark
            target.mkdir(parents=True, exist_ok=True)
            (target / ".snakemake_timestamp").touch()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    # Many cores: Snakemake then takes many jobs at a time, where one by one would take hours.
    snakemake(study, "--touch", "--forceall", "--cores", "100000", "--quiet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formulations", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lmbmd-scale-") as folder:
        study = Path(folder)
        write_study(study, options.formulations, options.replicas)
        from lmbmd.study.study import load_study

        began = time.perf_counter()
        load_study(study / "config" / "config.yaml")
        print(f"{'load_study':32} {time.perf_counter() - began:8.1f} s")
        quiet = ("--dry-run", "--quiet", "rules", "host")

        def show(what: str, measured: Measured) -> None:
            jobs, _, wall_s, cpu_s, peak_MB = measured
            n = sum(jobs.values())
            print(f"{what:32} {wall_s:8.1f} s {cpu_s:8.1f} s CPU {peak_MB:8.0f} MB {n:8d} jobs", flush=True)

        show("dry-run (limit 30 s, 600 MB)", snakemake(study, *quiet))
        show("dry-run of a tenth", snakemake(study, *quiet, "--batch", "index=1/10"))
        began = time.perf_counter()
        pretend_finished(study)
        print(f"{'(making it finished)':32} {time.perf_counter() - began:8.1f} s", flush=True)
        show("nothing to do (limit 10 s)", snakemake(study, *quiet))
        write_bottle(study, options.formulations, options.replicas)
        show("one new formulation", snakemake(study, *quiet))


if __name__ == "__main__":
    main()
