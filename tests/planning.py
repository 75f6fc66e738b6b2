"""Snakemake on a study, for real or dry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def snakemake(folder: Path, *arguments: str, workflow: Path = ROOT, **environment: str):
    command = [sys.executable, "-m", "snakemake", "--snakefile", workflow / "Snakefile", "--directory", folder]
    environment = {**os.environ, **environment}
    return subprocess.run(
        [*command, *arguments], capture_output=True, encoding="utf-8", timeout=900, env=environment, check=False
    )


def planned(folder: Path, **options) -> dict[str, int]:
    """Jobs that a dry-run would do, by rule."""
    run = snakemake(folder, "--dry-run", "--quiet", "host", **options)
    assert run.returncode == 0, run.stdout + run.stderr
    text = run.stdout + run.stderr
    if "Nothing to be done" in text:
        return {}
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1].split("\n\n")[0], flags=re.MULTILINE))
    return {rule: int(n) for rule, n in jobs.items() if rule not in ("total", "all")}
