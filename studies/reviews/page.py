"""What the reviews say and what the studies of this folder found, as a page: ``python studies/reviews/page.py FILE``.

Everything on it is read from the ``results/claims.csv`` of the studies that have one; nothing is computed here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import yaml

from lmbmd.literature.claims_text import numbers_of
from lmbmd.literature.judge import UNANSWERED

FOLDER = Path(__file__).parent
#: The studies, and what their column is called; the first is told with its numbers.
STUDIES = {"main": "sage-clp, × 0.7", "cipa": "8 nm", "scale-1": "sage-clp, × 1.0", "opls-clp": "opls-clp, × 0.8"}


def page(folder: Path) -> str:
    """The page in Markdown: a table for each pair, with a row for each claim and temperature that was judged.

    Args:
        folder: with the studies in folders of their names.

    Raises:
        FileNotFoundError: if none of them has results.
    """
    paths = {name: folder / name / "results" / "claims.csv" for name in STUDIES}
    judged = {name: _judged(path) for name, path in paths.items() if path.is_file()}
    if not judged:
        raise FileNotFoundError(f"no study in {folder} has results/claims.csv; README.md says how to run one")
    those = ", ".join(f"`{name}` ({STUDIES[name]})" for name in judged)
    made = f"Made by `studies/reviews/page.py` from the results of the studies there: {those}."
    parts = ["# What the literature says and what we found", f"{made} How claims are judged: [claims](claims.md)."]
    pairs = yaml.safe_load((FOLDER / "pairs.yaml").read_text(encoding="utf-8"))
    head, shown = _line(["claim", "source", *(STUDIES[name] for name in judged)]), set[str]()
    for pair in pairs:
        rows = _rows(judged, set(pair["bottles"]), shown)
        bottles = ", ".join(f"`{bottle}`" for bottle in pair["bottles"])
        parts += [f"## {pair['pair']}. {pair['question']}", f"Bottles: {bottles}."]
        parts.append("\n".join([head, *rows]) if rows else "Not run.")
    if rows := _rows(judged, {bottle for pair in pairs for bottle in pair["bottles"]}, shown):
        parts += ["## Across the pairs", "\n".join([head, *rows])]
    return "\n\n".join(parts) + "\n"


def _judged(path: Path) -> pd.DataFrame:
    """The claims of a study that it had the bottles for, by id and temperature."""
    words = ("ref", "unit", "reason", "versus", "doi")
    table = pd.read_csv(path, dtype=dict.fromkeys(words, str)).fillna(dict.fromkeys(words, ""))
    table = table[~table.verdict.isin(UNANSWERED)]
    return table.set_index(["id", table.temperature_K.fillna(0.0)], drop=False)


def _rows(judged: dict[str, pd.DataFrame], bottles: set[str], shown: set[str]) -> list[str]:
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


if __name__ == "__main__":
    try:
        Path(sys.argv[1]).write_text(page(FOLDER), encoding="utf-8")
    except (FileNotFoundError, IndexError) as error:
        sys.exit(f"page.py: {error if isinstance(error, FileNotFoundError) else 'name the file to write'}.")
