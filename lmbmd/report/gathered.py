"""Results of studies and analyses from anywhere on the disk, for one page that compares them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lmbmd.core.errors import LmbmdError
from lmbmd.report.inputs import Results, load_analysis, load_results
from lmbmd.study import layout


def gathered(folders: Sequence[Path], out: Path) -> list[Results]:
    """What lies in these folders, in their order, each under a name of its own and linked to its page.

    Args:
        folders: of a study, of its results, of one of its formulations or state points, or of an analysis.
        out: where the page that compares them will be.

    Raises:
        LmbmdError: if a folder holds none of these, or one thing is given twice.
    """
    found = [pair for folder in folders for pair in found_in(folder, brief=True)]
    places = [(folder.resolve(), point.label) for folder, one in found for point in one.state_points]
    if twice := [folder for (folder, label), n in Counter(places).items() if n > 1]:
        raise LmbmdError("its results are given twice.", where=str(twice[0]), remedy="Give each once.")
    common = Path(os.path.commonpath([folder.resolve() for folder, _ in found]))
    often = Counter(one.name for _, one in found)
    results = []
    for folder, one in found:
        page = Path(os.path.relpath(folder.resolve() / "report.html", out.resolve())).as_posix()
        name = folder.resolve().relative_to(common).as_posix() if often[one.name] > 1 else one.name
        results.append(replace(one, name=name, page=page))
    alike = Counter(one.title for one in results)
    return [_retitled(one) if alike[one.title] > 1 and one.title != one.name else one for one in results]


def _retitled(one: Results) -> Results:
    """A title that other results have too, with the name that only these have."""
    plain = one.title in (one.name, one.name.rpartition("/")[2])
    return replace(one, recipe={**one.recipe, "title": one.name if plain else f"{one.title} ({one.name})"})


def found_in(folder: Path, *, brief: bool) -> Iterator[tuple[Path, Results]]:
    """The folder of each page, and what it is about.

    Args:
        folder: as one of those of ``gathered``.
        brief: as for ``load_results``.
    """
    folder = folder if folder.name else folder.absolute()  # "." has neither a name nor a parent
    if (folder / "described.json").is_file():
        bottle = folder.parent
        if layout.composition(bottle.parent, bottle.name).is_file():
            temperature = layout.temperature_of(folder)
            yield bottle, load_results(bottle, brief=brief, temperatures=[temperature])
        else:
            yield folder, load_analysis(folder, brief)
    elif layout.composition(folder.parent, folder.name).is_file():
        yield folder, load_results(folder, brief=brief)
    else:
        results = folder / layout.RESULTS if (folder / layout.RESULTS).is_dir() else folder
        bottles = sorted({path.parent.parent for path in results.glob(f"*/{layout.point_name('*')}/described.json")})
        for bottle in bottles:
            yield bottle, load_results(bottle, brief=brief)
        if bottles:
            return
        raise LmbmdError(
            f"this is {'neither a study, nor results of one, nor an analysis' if folder.is_dir() else 'no folder'}.",
            where=str(folder),
            remedy="Give the folder of a study whose runs are described, results/FORMULATION in it, or what "
            "`lmbmd analyze` wrote.",
        )
