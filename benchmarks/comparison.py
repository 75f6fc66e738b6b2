"""What the comparison of many formulations costs: writing it, and opening it.

    python -m benchmarks.comparison results/lifsi-dme-tte --formulations 100 --temperatures 2

A finished formulation is copied under other names, its numbers moved at random; the tables behind its figures are the
same files. Prints seconds for reading the results and for writing the index, and milliseconds until headless Chromium
has run the page's scripts.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lmbmd.numbers.doubt import Kind
from lmbmd.report.inputs import load_results
from lmbmd.report.pages.index import write_index

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formulation", type=Path, nargs="+", help="finished formulations: results/NAME")
    parser.add_argument("--formulations", type=int, default=100)
    parser.add_argument("--temperatures", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keep the results here")
    parser.add_argument("--verdict", default="long enough", help="what the copies say of themselves")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        names = [copy(options, folder, n) for n in range(options.formulations)]
        start, used = time.perf_counter(), time.process_time()
        results = [load_results(folder / name, None, {"title": name}, brief=True) for name in names]
        read = time.perf_counter()
        page = write_index(folder, results)
        written, used = time.perf_counter(), time.process_time() - used
        print(f"{len(names)} formulations x {options.temperatures} temperatures")
        print(f"read {read - start:.1f} s, write {written - read:.1f} s; processor time of both {used:.1f} s")
        print(f"page {page.stat().st_size / 1e6:.2f} MB")
        if CHROMIUM:
            print(f"open {sorted(opened_ms(page) for _ in range(3))[1]:.0f} ms (median of 3)")


def copy(options: argparse.Namespace, folder: Path, number: int) -> str:
    """One more formulation like a finished one, with other numbers."""
    source = options.formulation[number % len(options.formulation)]
    rng = np.random.default_rng(number)
    name = f"{source.name}-{number:03d}"
    target = folder / name
    target.mkdir(parents=True)
    shutil.copy(source / "composition.json", target)
    (point,) = list(source.glob("*K"))[:1]
    for k in range(options.temperatures):
        copied = target / f"{298.15 + 20 * k:g}K"
        shutil.copytree(point, copied, ignore=shutil.ignore_patterns("r*", "snapshots"), copy_function=_link)
        said = json.loads((point / "described.json").read_text("utf-8"))
        if options.verdict:
            text = "Moved at random: a test of the page."
            notes = [note for note in said["notes"] if note["topic"] not in ("convergence", "box", "cluster")]
            said["notes"] = [{"topic": "convergence", "verdict": options.verdict, "text": text}, *notes]
        (copied / "described.json").unlink()
        (copied / "described.json").write_text(json.dumps(said), encoding="utf-8")
        numbers = pd.read_parquet(point / "descriptors.parquet")
        factor = rng.uniform(0.7, 1.3) * rng.uniform(0.95, 1.05, len(numbers)) * (1 - 0.05 * k)
        numbers["value"] *= np.where(numbers.name.isin(["density_g_cm3"]), 1.0, factor)
        few = (numbers.doubt_kind == Kind.FEW_SAMPLES) & bool(options.verdict)
        numbers.loc[few, ["method", "doubt", "doubt_kind"]] = "made up", "", ""
        numbers["n_effective"] = np.maximum(numbers.n_effective, 40.0)
        (copied / "descriptors.parquet").unlink()
        numbers.to_parquet(copied / "descriptors.parquet", index=False)
    return name


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def opened_ms(page: Path) -> float:
    """Milliseconds from the start of the navigation until the page has loaded; its scripts have run by then."""
    copy = page.with_name("timed.html")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    script = "<script>onload = () => document.title = performance.now()</script>"
    copy.write_text(text.replace("</body>", f"{script}</body>"), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--dump-dom",
            copy.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    copy.unlink()
    return float(re.findall(r"<title>([\d.]+)</title>", done.stdout)[0])


if __name__ == "__main__":
    main()
