"""What is tried: damaged files and odd arguments, drawn from a seed."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lmbmd.core.files import sealed

#: Words and numbers that programs stumble over.
ODD = (
    *("", " ", "/", ".", "..", "../x", "//", "~", "-", "--", "-1", "0", "1", "1.5", "1e999", "-inf", "nan", "NaN"),
    *("null", "None", "true", "[]", "{}", "[", "{a: ", "'", '"', ":", "*a", "&a", "!!python/object:os.system x", "%s"),
    *("٣", "²", "１", "Li⁺", "\u202e", "\u200b", "é", "😀", "\x07", "a b", "a/b", "a\\b", "c:", "<script>", "{{7*7}}"),
    *("x" * 5000, "9" * 400, "9999999999999999999", "-9999999999999999999", "1e-320", "0x10", "1_000", "lifsi-dme"),
    *("298.15", "298.150", "1 mol/L", "rest", "DME", "LiFSI", "/dev/null", "/dev/full", "/proc/self/mem", "config"),
)


def odd(rng: random.Random) -> str:
    return rng.choice(ODD)


# ---- damage to files


def damaged_bytes(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Bytes with one thing wrong with them, and what it is."""
    if not data:
        return "one byte", b"\x00"
    how = rng.choice(("cut", "cut", "zeros", "flip", "flip", "flip", "flips", "number", "twice", "empty", "noise"))
    at = rng.randrange(len(data))
    if how == "cut":
        return f"cut at {at}", data[:at]
    if how == "zeros":
        return f"zeros from {at}", data[:at] + bytes(min(len(data) - at, rng.choice((1, 8, 4096)))) + data[at + 4096 :]
    if how == "flip":
        at = at if rng.random() < 0.6 else rng.randrange(min(len(data), 120))
        return f"bit of byte {at}", data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if how == "flips":
        changed = bytearray(data)
        for _ in range(rng.choice((5, 50))):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        return "many bytes", bytes(changed)
    if how == "number":
        at = 4 * (rng.randrange(min(len(data), 200)) // 4)
        value = rng.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**30, 10**6, 0x7F800000, 0x7FC00000))
        return f"{value} at {at}", data[:at] + (value % 2**32).to_bytes(4, rng.choice(("big", "little"))) + data[
            at + 4 :
        ]
    if how == "twice":
        return "twice", data + data
    if how == "empty":
        return "empty", b""
    return "noise", rng.randbytes(rng.choice((3, 100, len(data))))


def damaged_text(text: str, rng: random.Random) -> tuple[str, str]:
    """Lines of 'key: value', or of columns, with one thing wrong with them, and what it is."""
    lines = text.splitlines()
    at = rng.randrange(max(len(lines), 1))
    how = rng.choice(
        ("value", "value", "value", "word", "word", "drop", "twice", "indent", "key", "swap", "cut", "add")
    )
    if not lines:
        return "odd text", odd(rng)
    line = lines[at]
    if how == "value" and ":" in line:
        lines[at] = f"{line.partition(':')[0]}: {odd(rng)}"
    elif how == "key" and ":" in line:
        lines[at] = f"{odd(rng)}:{line.partition(':')[2]}"
    elif how == "drop":
        del lines[at]
    elif how == "twice":
        lines.insert(at, line)
    elif how == "indent":
        lines[at] = rng.choice(("  ", "\t", "- ", "      ")) + line
    elif how == "swap":
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif how == "cut":
        lines[at:] = [line[: rng.randrange(len(line) + 1)]]
    elif how == "add":
        lines.insert(at, f"{odd(rng)}: {odd(rng)}")
    else:
        words = re.split(r"(\s+|[:,{}\[\]])", line)
        words[rng.randrange(len(words))] = odd(rng)
        lines[at] = "".join(words)
    return f"{how} in line {at + 1}", "\n".join(lines) + "\n"


def damage(path: Path, rng: random.Random, *, text: float = 0.5) -> str:
    """Damage a file in place; what was done to it."""
    try:
        content = path.read_text(encoding="utf-8") if rng.random() < text else None
    except ValueError:
        content = None
    if content is None:
        what, data = damaged_bytes(path.read_bytes(), rng)
    else:
        what, changed = damaged_text(content, rng)
        data = changed.encode("utf-8", "surrogatepass")
    path.write_bytes(data)
    return f"{path.name}: {what}"


def damaged_json(path: Path, rng: random.Random) -> str:
    """Other JSON than is expected: of another kind, or with one value exchanged at some depth."""
    values = ([], {}, None, 1, -1, 1e308, "", "x", [[]], [None], {"x": 1}, True, [1, 2], "../../x", "9" * 400)
    if rng.random() < 0.2:
        value = rng.choice(values)
        path.write_text(json.dumps(value), encoding="utf-8")
        return f"{path.name} is {value!r}"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return damage(path, rng)
    inner, place = data, []
    while isinstance(inner, dict | list) and inner:
        key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        place.append(key)
        if not isinstance(inner[key], dict | list) or not inner[key] or rng.random() < 0.35:
            if isinstance(inner, dict) and rng.random() < 0.3:
                del inner[key]
            else:
                inner[key] = rng.choice(values)
            break
        inner = inner[key]
    path.write_text(json.dumps(data), encoding="utf-8")
    return f"{path.name}: {'.'.join(map(str, place))} exchanged"


def resealed(path: Path, rng: random.Random) -> str:
    """A sealed file with one value exchanged, and a seal that fits: as if somebody had written it so."""
    what = damaged_json(path, rng)
    data = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(data, dict):
        path.write_text(json.dumps(sealed(data)), encoding="utf-8")
    return f"{what}, with the right hash"


def ruin(path: Path, rng: random.Random) -> str:
    """Damage a result file in any way, its absence and a folder in its place included."""
    how = rng.random()
    if how < 0.06:
        path.unlink()
        return f"no {path.name}"
    if how < 0.12:
        path.unlink()
        path.mkdir()
        return f"{path.name} is a folder"
    if how < 0.55 and path.suffix == ".json":
        return damaged_json(path, rng)
    return damage(path, rng, text=0.3)


# ---- kinds


#: Arguments that are right, and whose words are exchanged.
COMMANDS = (
    "catalogue --class lhce --salt LiFSI --json",
    "catalogue lifsi-dme",
    "init new lifsi-dme-1m",
    "init out/new --from-csv table.csv --codebook codebook.yaml --skip-refused",
    "archive out/a.zip --license CC-BY-4.0 --author Ada --yes --results results",
    "check lifsi-dme --json",
    "estimate lifsi-dme --table --json",
    "compose lifsi-dme --out out/c.json",
    "build composition.json --replica 1 --out out",
    "spec lifsi-dme 298.15 1 --out out/s.json",
    "simulate --spec s.json --system x.xml --start x.pdb --atoms a --work out/w --out out/o --threads 1",
    "contacts --atoms a.parquet --trajectory t.xtc --contacts out/c.arrow --rdf out/r.npz --workers 1",
    "describe results/lifsi-dme/298.15K --composition c.json --atoms a.parquet",
    "scatter results/lifsi-dme/298.15K 1 --composition c.json --atoms a.parquet --trajectory t.xtc",
    "draw results/lifsi-dme/298.15K 1 --composition c.json --atoms a.parquet --trajectory t.xtc",
    "quantum results/lifsi-dme/298.15K 1 --workers 1",
    "report lifsi-dme --results results",
    "index --results results",
    "why lifsi-dme 298.15 1 --results results --work work",
    "claims lifsi-dme --results results",
    "claims --list",
    "export results/lifsi-dme/r1 --to gromacs --out out",
    "parametrize XYZ --smiles C(C --charge-method am1bcc --set own-1.0.0",
    "parametrize XYZ --charge-method file --charges q.txt --density 1.0 --out out",
    "analyze t.gro t.xtc --species map.yaml --out out -b 0 -e 2 --every 1 --workers 1 --no-page",
    "validate liquids --help",
)


def arguments(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A command line with one to three of its words exchanged, dropped or doubled."""
    words = rng.choice(COMMANDS).split()
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(1, len(words)) if len(words) > 1 and rng.random() < 0.97 else 0
        how = rng.random()
        if words[at] == "--table" or (words[0] in ("validate", "parametrize") and words[at].startswith("-")):
            continue  # without it something long would begin
        if how < 0.75:
            words[at] = odd(rng)
        elif how < 0.85 and len(words) > 1:
            del words[at]
        else:
            words.insert(at, odd(rng))
    return "arguments", words or ["check"]


def studies(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged study, bottle or claims file."""
    path = here / rng.choice(("config/config.yaml", "config/claims.yaml", *["config/formulations/lifsi-dme.yaml"] * 2))
    what = [damage(path, rng, text=0.85) for _ in range(rng.choice((1, 1, 2)))]
    verb = rng.choice(
        (
            ["check"],
            ["compose", "lifsi-dme", "--out", "out/c.json"],
            ["spec", "lifsi-dme", "298.15", "1", "--out", "out/s.json"],
            ["claims", "--list"],
            ["why", "lifsi-dme"],
        )
    )
    return "; ".join(what), verb


def tables(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged table of formulations, or its codebook."""
    path = here / "table.csv"
    if rng.random() < 0.2:
        what = damage(here / "codebook.yaml", rng, text=0.9)
    elif rng.random() < 0.4:
        what = damage(path, rng, text=0.5)
    else:
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        row = rng.choice(lines)
        at = rng.randrange(len(row))
        row[at] = odd(rng)
        what = f"cell {at + 1} of '{row[1][:20]}' exchanged"
        path.write_text("\n".join(",".join(row) for row in lines) + "\n", encoding="utf-8")
    return what, [*TABLES.split(), *rng.choice(([], ["--skip-refused"]))]


TABLES = "init out/new --from-csv table.csv --codebook codebook.yaml"


#: Topology, trajectory (or none) and species map.
FOREIGN = (
    *[("t.gro", f"t.{kind}", "map.yaml") for kind in ("xtc", "trr")],
    *[("t.gro", f"t.{kind}", "timed.yaml") for kind in ("dcd", "lammpsdump", "nc")],
    ("t.gro", "t.xyz", "boxed.yaml"),
    *[(f"t.{kind}", "t.xtc", "map.yaml") for kind in ("pdb", "psf", "prmtop")],
    ("t.data", "t.xtc", "numbered.yaml"),
    ("t.data", "", "numbered.yaml"),
    ("t.gro", "", "map.yaml"),
    ("many.pdb", "", "timed.yaml"),
)


def _analyze(topology: str, trajectory: str, species: str) -> list[str]:
    return ["analyze", *filter(None, (topology, trajectory)), "--species", species, "--out", "out", "--no-page"]


def maps(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged species map."""
    chosen = rng.choice(FOREIGN)
    what = [damage(here / chosen[2], rng, text=0.9) for _ in range(rng.choice((1, 1, 2)))]
    return "; ".join(what), _analyze(*chosen)


def trajectories(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged trajectory or topology of any format."""
    chosen = rng.choice(FOREIGN)
    damaged = rng.choice([name for name in chosen[:2] if name])
    if rng.random() < 0.03:
        (here / damaged).unlink()
        return f"no {damaged}", _analyze(*chosen)
    return damage(here / damaged, rng, text=0.4), _analyze(*chosen)


def results(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged file of the results that report, index, claims and why read."""
    root = here / "results"
    paths = [p for p in sorted(root.rglob("*")) if p.is_file() and p.suffix not in (".xyz", ".html")]
    wanted = [p for p in paths if p.suffix in (".json", ".parquet", ".csv")]
    what = ruin(rng.choice(wanted if rng.random() < 0.5 else [p for p in wanted if p.suffix == ".json"]), rng)
    verb = rng.choice((["report", "lifsi-dme"], ["index"], ["index"], ["claims"], ["why", "lifsi-dme"]))
    return what, verb


CONTACTS = (
    "contacts --atoms results/b/r1/atoms.parquet --trajectory results/b/298.15K/r1/trajectory.xtc "
    "--contacts out/c.arrow --rdf out/r.npz"
)
SCATTER = (
    "scatter results/b/298.15K 1 --composition results/b/composition.json --atoms results/b/r1/atoms.parquet "
    "--trajectory results/b/298.15K/r1/trajectory.xtc"
)
DRAW = (
    "draw results/b/298.15K 1 --composition results/b/composition.json --atoms results/b/r1/atoms.parquet "
    "--trajectory results/b/298.15K/r1/trajectory.xtc"
)
QUANTUM = "quantum results/b/298.15K 1"
DESCRIBE = "describe results/b/298.15K --composition results/b/composition.json --atoms results/b/r1/atoms.parquet"


def runs(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged file of a real box, its trajectory and what came of it."""
    verb = rng.choice(
        (
            ["export", "results/b/r1", "--to", rng.choice(("gromacs", "lammps")), "--out", "out"],
            ["export", "results/b/298.15K/r1", "--to", rng.choice(("gromacs", "lammps")), "--out", "out"],
            CONTACTS.split(),
            SCATTER.split(),
            DRAW.split(),
            QUANTUM.split(),
            DESCRIBE.split(),
            ["why", "b"],
            ["build", "results/b/composition.json", "--out", "out"],
        )
    )
    near = {
        "export": ("r1/system.xml", "r1/atoms.parquet", "r1/start.pdb", "298.15K/r1/final.pdb", "298.15K/r1/spec.json"),
        "contacts": ("r1/atoms.parquet", "298.15K/r1/trajectory.xtc"),
        "scatter": (
            *("298.15K/r1/contacts.arrow", "298.15K/r1/rdf.npz", "composition.json", "r1/atoms.parquet"),
            *("298.15K/r1/trajectory.xtc", "../../config/config.yaml"),
        ),
        "draw": (
            *("298.15K/r1/contacts.arrow", "298.15K/r1/rdf.npz", "composition.json", "r1/atoms.parquet"),
            *("298.15K/r1/trajectory.xtc", "../../config/config.yaml"),
        ),
        "quantum": (*["298.15K/r1/shells.json"] * 4, "../../config/config.yaml"),
        "describe": (
            *("298.15K/r1/contacts.arrow", "298.15K/r1/rdf.npz", "composition.json", "r1/atoms.parquet"),
            *(*["298.15K/r1/scattering.npz"] * 2, *["298.15K/r1/energies.json"] * 3),
        ),
        "why": ("298.15K/r1/run.json", "composition.json", "r1/system.xml", "298.15K/described.json"),
        "build": ("composition.json",),
    }
    path = here / "results/b" / rng.choice(near[verb[0]])
    if path.name in ("shells.json", "energies.json") and rng.random() < 0.5:
        return resealed(path, rng), verb
    return (ruin(path, rng) if path.is_file() else f"no {path.name}"), verb


def simulations(rng: random.Random, here: Path) -> tuple[str, list[str]]:
    """A damaged input or work folder of a small run that is finished, and would only be published again."""
    paths = [p for p in sorted(here.rglob("*")) if p.is_file() and p.parts[-2] != "config" and "lock" not in p.name]
    path = rng.choice([p for p in paths if "config" not in p.parts])
    what = ruin(path, rng)
    if rng.random() < 0.1:
        shutil.rmtree(here / "out")
        what += "; no out"
    return what, SIMULATE.split()


SIMULATE = (
    "simulate --spec spec.json --system system.xml --start start.pdb --atoms atoms.parquet "
    "--work work --out out --threads 1"
)


KINDS: dict[str, Callable[[random.Random, Path], tuple[str, list[str]]]] = {
    "arguments": arguments,
    "studies": studies,
    "tables": tables,
    "maps": maps,
    "trajectories": trajectories,
    "results": results,
    "runs": runs,
    "simulations": simulations,
}
#: What is done with the undamaged files of each kind.
SOUND: dict[str, list[list[str]]] = {
    "tables": [TABLES.split()],
    "maps": [_analyze(*chosen) for chosen in FOREIGN],
    "results": [["report", "lifsi-dme"], ["index"], ["claims"], ["why", "lifsi-dme"]],
    "runs": [
        ["export", "results/b/r1", "--to", "gromacs", "--out", "out"],
        ["export", "results/b/298.15K/r1", "--to", "lammps", "--out", "out"],
        CONTACTS.split(),
        SCATTER.split(),
        DRAW.split(),
        QUANTUM.split(),
        DESCRIBE.split(),
        ["report", "b"],
        ["why", "b"],
    ],
    "simulations": [SIMULATE.split()],
}
#: The folder that each kind begins with.
WORLD = {
    "arguments": "study",
    "studies": "study",
    "tables": "study",
    "maps": "foreign",
    "trajectories": "foreign",
    "results": "reported",
    "runs": "built",
    "simulations": "simulated",
}


def may_change(kind: str, name: str) -> bool:
    """Whether a verb that fails may have changed a file: of its own work, whose end is not reached."""
    if kind == "runs":  # jobs of quantum chemistry are kept as they are done
        return name.startswith("work")
    return kind == "simulations" and name.startswith("work/")
