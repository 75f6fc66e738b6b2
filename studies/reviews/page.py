"""What the reviews say and what the studies of this folder found.

    python studies/reviews/page.py keep               after a study has run here: keep its numbers in kept/
    python studies/reviews/page.py docs/reviews.md    the page, and its figures in images/ beside it

``kept/STUDY.parquet`` is the feature table (docs/features.md) of what has run of a study, ``kept/STUDY-runs.csv`` what
its runs cost; of two runs of one state point the longer one is kept. The page is made of these files alone: claims are
judged anew, by those that lmbmd comes with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml

from lmbmd.core import rounding
from lmbmd.core.files import write_text
from lmbmd.literature.claims import shipped_claims
from lmbmd.literature.claims_text import counts_of, numbers_of
from lmbmd.literature.judge import DECIDED, UNANSWERED, judge_claims
from lmbmd.report.figures.drawing import styled
from lmbmd.report.figures.palette import CLASSES, INK, colours, text_on
from lmbmd.study.status import status
from lmbmd.study.study import load_study

FOLDER = Path(__file__).parent
#: The studies, and what their column is called; the first that has results is told with its numbers.
STUDIES = {
    "main": "sage-clp, × 0.7",
    "small": "sage-clp, × 0.7, small boxes",
    "cipa": "8 nm",
    "scale-1": "sage-clp, × 1.0",
    "opls-clp": "opls-clp, × 0.8",
}
POINT = ["formulation", "temperature_K"]
RUN = [*POINT, "run"]
#: Classes of anions, lightest first, and the kinds of molecules in a first shell.
SHARES = {"SSIP": "ssip_fraction_anion", "CIP": "cip_fraction_anion", "AGG": "agg_fraction_anion"}
KINDS = {f"{kind}_cn": kind for kind in ("solvent", "polymer", "anion", "diluent", "additive")}
HEAD = """\
Made by `studies/reviews/page.py` from the results in `studies/reviews/kept/`, which the studies in `studies/reviews/`
gave. How claims are judged: [claims](claims.md). *Supported* and *contradicted* mean that the 95 % confidence interval
lies inside or outside of what is claimed; a run that is too short by its own report judges nothing."""
Tables = dict[str, pd.DataFrame]


# ---- keeping


def keep(folder: Path) -> list[str]:
    """Keep the numbers of the studies that have run below a folder; says what was kept of each.

    Raises:
        FileNotFoundError: if none of them has results.
    """
    said = []
    for name in STUDIES:
        table = folder / name / "results" / "features.parquet"
        if not table.is_file():
            continue
        new, kept = pd.read_parquet(table), folder / "kept" / f"{name}.parquet"
        both = merged(pd.read_parquet(kept), new) if kept.is_file() else new
        kept.parent.mkdir(exist_ok=True)
        both.to_parquet(kept, index=False, compression="zstd")
        costs, log = runs(folder / name), kept.with_name(f"{name}-runs.csv")
        if log.is_file():
            costs = pd.concat([pd.read_csv(log), costs]).drop_duplicates(RUN, keep="last")
        costs.sort_values(RUN).to_csv(log, index=False)
        said.append(f"{name}: {both.formulation.nunique()} bottles, {costs.core_hours.sum():.1f} core hours")
    if not said:
        raise FileNotFoundError(f"no study in {folder} has results/features.parquet; README.md says how to run one")
    return said


def merged(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Both feature tables; of a state point that both have, the one that was sampled longer, of two alike the new one.

    Numbers over all temperatures of a bottle are the new table's where it has the bottle.
    """
    lengths = [table[table.name == "sampled_ns"].set_index(POINT).value for table in (old, new)]
    longer = {point for point, ns in lengths[0].items() if ns > lengths[1].get(point, np.inf)}

    def of(table: pd.DataFrame, points: set) -> np.ndarray:
        return np.array([point in points for point in zip(table.formulation, table.temperature_K, strict=True)], bool)

    over_temperatures = old.temperature_K.isna() & old.formulation.isin(new.formulation)
    replaced = of(old, set(lengths[1].index) - longer) | over_temperatures
    return pd.concat([old[~replaced], new[~of(new, longer)]], ignore_index=True)


def runs(study: Path) -> pd.DataFrame:
    """The finished runs of a study, and what each cost: its production and its transport segments."""
    found = status(load_study(study / "config" / "config.yaml"), results=study / "results", work=study / "work")
    rows = [
        {
            "formulation": run.formulation,
            "temperature_K": float(run.temperature.removesuffix("K")),
            "run": f"r{run.replica}" + ("" if run.segment is None else f" t{run.segment}"),
            "produced_ns": run.produced_ns,
            "on": f"{run.units:g} {run.on}",
            "core_hours": round(run.spent_h * run.units, 3),
        }
        for run in found.runs
        if run.left_ns == 0.0
    ]
    return pd.DataFrame(rows, columns=[*RUN, "produced_ns", "on", "core_hours"])


# ---- the page


def page(folder: Path, file: Path) -> str:
    """The page in Markdown: a figure and a table for each pair, with a row for each claim and temperature judged.

    Args:
        folder: with ``kept/``.
        file: the page; figures go into ``images/`` beside it.

    Raises:
        FileNotFoundError: if nothing was kept.
    """
    paths = {name: folder / "kept" / f"{name}.parquet" for name in STUDIES}
    tables = {name: pd.read_parquet(path) for name, path in paths.items() if path.is_file()}
    if not tables:
        raise FileNotFoundError(f"{folder / 'kept'} has no results; README.md says how to run a study and keep them")
    judged = {name: _judged(table) for name, table in tables.items()}
    pairs = yaml.safe_load((FOLDER / "pairs.yaml").read_text(encoding="utf-8"))
    ran = set().union(*(table.formulation for table in tables.values()))
    parts = ["# What the literature says and what we found", *_opening(folder, tables, judged)]
    head, shown = _line(["claim", "source", *(STUDIES[name] for name in judged)]), set[str]()
    for pair in pairs:
        bottles = [bottle for bottle in pair["bottles"] if bottle in ran]
        parts += [f"## {pair['pair']}. {pair['question']}"]
        if not bottles:
            parts.append("Not run.")
            continue
        missing = [f"`{bottle}`" for bottle in pair["bottles"] if bottle not in bottles]
        if missing:
            parts.append(f"Not run: {', '.join(missing)}.")
        name = f"reviews-{pair['pair']}.svg"
        _figure(tables, bottles, file.parent / "images" / name)
        parts.append(f"![{pair['question']}](images/{name})")
        if said := pair.get("said"):
            parts.append(said.strip())
        if rows := _rows(judged, set(pair["bottles"]), shown):
            parts.append("\n".join([head, *rows]))
    if rows := _rows(judged, {bottle for pair in pairs for bottle in pair["bottles"]}, shown):
        parts += ["## Across the pairs", "\n".join([head, *rows])]
    return "\n\n".join(parts) + "\n"


def _opening(folder: Path, tables: Tables, judged: Tables) -> list[str]:
    """What was run, for how long, at what cost, and how many claims have a verdict."""
    rows = [_line(["study", "model", "bottles", "simulated, ns", "core hours", "claims judged"]), _line(["---"] * 6)]
    for name, table in tables.items():
        cost = pd.read_csv(folder / "kept" / f"{name}-runs.csv").core_hours.sum()
        sampled = table[table.name == "sampled_ns"].value.sum()
        decided = judged[name][judged[name].verdict.isin(DECIDED)].id.nunique()
        undecided = judged[name][judged[name].verdict == "undecided"].id.nunique()
        cells = [f"`{name}`", STUDIES[name], str(table.formulation.nunique()), f"{sampled:.0f}", f"{cost:.0f}"]
        rows.append(_line([*cells, f"{decided} decided, {undecided} undecided"]))
    first, name = next(iter(judged.values())), next(iter(judged))
    return [
        HEAD,
        "\n".join(rows),
        f"`{name}`: {counts_of(first)}",
    ]


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """The claims of a study that it had the bottles for, by id and temperature."""
    found = judge_claims(shipped_claims(), table)
    words = ("ref", "unit", "reason", "versus", "doi")
    found = found.fillna(dict.fromkeys(words, ""))
    found = found[~found.verdict.isin(UNANSWERED)]
    return found.set_index(["id", found.temperature_K.fillna(0.0)], drop=False)


def _rows(judged: Tables, bottles: set[str], shown: set[str]) -> list[str]:
    """Lines of a table: the claims about these bottles alone that no pair before has shown, and a rule above them."""
    every = pd.concat(judged.values())
    every = every[every.formulation.isin(bottles) & (every.versus.isin(bottles) | (every.versus == ""))]
    keys = [key for key in dict.fromkeys(every.index) if key[0] not in shown]
    shown |= {key[0] for key in keys}
    lines = []
    for key in keys:
        claim = every.loc[[key]].iloc[0]
        T = f" ({claim.temperature_K:g} K)" if claim.temperature_K > 0 else ""
        marks = [word for word, said in (("proxy", claim.proxy), ("bottle ours", claim.partner_assumed)) if said]
        text = f"{claim.text}{T}" + (f" *{', '.join(marks)}*" if marks else "")
        source = f"[{claim.source[-1].upper()} {claim.ref}](https://doi.org/{claim.doi})".replace(" ]", "]")
        cells = [_cell(table.loc[key]) if key in table.index else "" for table in judged.values()]
        lines.append(_line([text, source, *cells]))
    return [_line(["---"] * (2 + len(judged))), *lines] if lines else []


def _cell(row: pd.Series) -> str:
    numbers, interval = numbers_of(row)
    return f"**{row.verdict}** " + "; ".join(filter(None, [numbers, interval, row.reason]))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


# ---- the figures


def _figure(tables: Tables, bottles: list[str], file: Path) -> None:
    """How the anions stand to the ions, and what is in the first shell, of some bottles in every study."""
    points = [
        (f"{bottle}{T}" + (f"\n{STUDIES[name]}" if len(tables) > 1 else ""), rows)
        for bottle in bottles
        for name, table in tables.items()
        for T, rows in _temperatures(table[table.formulation == bottle])
    ]
    shares = [{k: _number(rows, quantity, "") for k, quantity in SHARES.items()} for _, rows in points]
    shells = [_shell(rows) for _, rows in points]
    roles = {name: role for shell in shells for name, (role, _) in shell.items()}
    palette = colours(roles)
    with styled(), plt.rc_context({"axes.grid.axis": "x"}):
        size = 10, 1.1 + (0.34 if len(tables) == 1 else 0.5) * len(points)
        figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
        _bars(left, shares, CLASSES)
        _bars(right, [{name: found for name, (_, found) in shell.items()} for shell in shells], palette)
        left.set_yticks(range(len(points)), [label for label, _ in points])
        left.invert_yaxis()
        left.set(title="Anions by their contacts with Li⁺", xlabel="share of the anions", xlim=(0, 1))
        right.set(title="First shell of Li⁺", xlabel="molecules for each Li⁺", xlim=(0, None))
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
            if axes.patches:
                axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        file.parent.mkdir(exist_ok=True, parents=True)
        figure.savefig(file, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _temperatures(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The state points of a bottle, and what tells them apart."""
    known = rows[rows.temperature_K.notna()]
    several = known.temperature_K.nunique() > 1
    return [(f", {T:g} K" if several else "", one) for T, one in known.groupby("temperature_K")]


def _number(rows: pd.DataFrame, name: str, species: str) -> tuple[float, float]:
    """A number of the whole liquid or of a species, and its error."""
    found = rows[(rows.name == name) & (rows.species == species)]
    return (float(found.value.iloc[0]), float(found.error.iloc[0])) if len(found) else (np.nan, np.nan)


def _shell(rows: pd.DataFrame) -> dict[str, tuple[str, tuple[float, float]]]:
    """Molecules for each Li⁺ by species: its role, the number and its error."""
    species = set(rows[rows.name == "count"].species)
    return {
        row.species: (KINDS[row.name], (row.value, row.error))
        for row in rows.itertuples()
        if row.name in KINDS and row.species in species
    }


def _bars(axes: plt.Axes, rows: list[dict[str, tuple[float, float]]], palette: dict[str, str]) -> None:
    """Stacked bars, one row each, with a number in every part that has room and the error at its end."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    end = np.zeros(len(rows))
    whole = max(sum(value for value, _ in row.values() if np.isfinite(value)) for row in rows) or 1.0
    for name in names:
        value, error = np.array([row.get(name, (np.nan, np.nan)) for row in rows]).T
        length = np.nan_to_num(value)
        axes.barh(range(len(rows)), length, left=end, color=palette[name], height=0.7, label=name)
        known = np.flatnonzero(np.isfinite(error))
        axes.errorbar((end + length)[known], known, xerr=error[known], fmt="none", ecolor=INK, elinewidth=0.9)
        for k, part in enumerate(length):
            if part > 0.09 * whole:
                text = rounding.number(value[k], error[k] if np.isfinite(error[k]) else None).split(" ± ")[0]
                axes.text(
                    end[k] + part / 2, k, text, ha="center", va="center", fontsize=7.5, color=text_on(palette[name])
                )
        end += length


if __name__ == "__main__":
    try:
        if sys.argv[1] == "keep":
            print("\n".join(keep(FOLDER)))
        else:
            write_text(Path(sys.argv[1]), page(FOLDER, Path(sys.argv[1])))
    except (FileNotFoundError, IndexError) as error:
        sys.exit(f"page.py: {error if isinstance(error, FileNotFoundError) else 'name the file to write, or keep'}.")
