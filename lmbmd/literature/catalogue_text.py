"""The catalogue as text for a terminal: one line for each entry, or one entry whole."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from lmbmd.data.library import load_library
from lmbmd.forcefield.own import how_to_get
from lmbmd.forcefield.sets import released_sets
from lmbmd.formulation.models import SECTIONS, Formulation
from lmbmd.literature.catalogue import Bottle, Entry, Standing
from lmbmd.literature.claims import shipped_claims

_STATUS = {
    "given": "every component, amount and ratio is printed by the source",
    "partial": "the source leaves out something that a recipe needs",
    "inconsistent": "what the source prints contradicts itself or cannot be",
    "not-given": "the source names components at best",
}
_WIDTH = 100


def table(entries: Sequence[tuple[Entry, Standing]]) -> str:
    """One line for each entry: name, class, status, whether it builds, title; then how many, and what they lack."""
    if not entries:
        return "0 entries: no entry is all of that. Ask for less; lmbmd catalogue alone lists every one."
    rows = [("name", "class", "recipe", "here", "title")]
    rows += [(e.name, e.listing.kind, e.listing.status, brief(e, s), e.title) for e, s in entries]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(text.ljust(w) for text, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    states = [s.state for _, s in entries]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    lines += [
        "",
        f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}" + (f": {', '.join(counts)}" if counts else ""),
    ]
    waited_for = Counter(name for _, s in entries if s.state != "same as" for name in s.lacking)
    if waited_for:
        told = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in waited_for.most_common())
        lines += textwrap.wrap(f"lacking: {told}", _WIDTH, break_on_hyphens=False)
    return "\n".join(lines)


def brief(entry: Entry, found: Standing) -> str:
    """A standing in a few words."""
    if found.state == "same as":
        return f"see {found.detail}"
    if found.state == "not simulated":
        return f"no: {entry.listing.scope}" if entry.listing.scope != "bulk-liquid" else "no: unknown molecule"
    if found.state == "lacks parameters":
        return textwrap.shorten(f"lacks {found.detail}", 36, placeholder=" …")
    return textwrap.shorten(found.detail, 44, placeholder=" …")


def page(entry: Entry, found: Standing) -> str:
    """One entry whole: recipe, source, assumptions, and what it would be or lacks."""
    listing = entry.listing
    origin = "; added here to compare with" if listing.origin == "control" else ""
    lines = [entry.name, f"  {entry.title}", ""]
    lines += _said("class", f"{listing.kind}, {listing.scope}{origin}")
    lines += _said("recipe", f"{listing.status}: {_STATUS[listing.status]}")
    lines += _said("source", entry.source)
    for review in reviews(entry):
        lines += _said("", review)
    for i, bottle in enumerate(entry.bottles):
        lines += _said("" if i else "bottle", _recipe(bottle))
    if not entry.bottles:
        lines += _said("named", ", ".join(entry.mentions))
    for i, text in enumerate(entry.assumptions):
        lines += _said("" if i else "assumed", f"- {text}")
    lines += [*_said("notes", entry.notes), "", *_here(found)]
    return "\n".join(lines)


def reviews(entry: Entry) -> list[str]:
    """The reviews that an entry cites, each with its title, journal and DOI, in the order of their letters."""
    sources = {f"review {key[-1].upper()}": one for file in shipped_claims() for key, one in file.sources.items()}
    return [f"{name}: {one.title}, doi:{one.doi}" for name, one in sources.items() if name in entry.source]


def _recipe(bottle: Formulation) -> str:
    sections = [
        f"{section}: " + ", ".join(f"{name} {amount}" for name, amount in getattr(bottle, section).items())
        for section in SECTIONS
        if getattr(bottle, section)
    ]
    if bottle.polymers:
        told = [f"{name} {one.amount}, chains of {one.units} units" for name, one in bottle.polymers.items()]
        sections.append(f"polymers: {', '.join(told)}")
    return f"{bottle.name}: {'; '.join(sections)}"


def _here(found: Standing) -> list[str]:
    """What this installation can make of it."""
    if found.state == "not simulated":
        return _said("here", f"not simulated. {found.detail}")
    same = found.state == "same as"
    lines = _said("here", f"it has no box of its own: that of '{found.detail}' answers it too") if same else []
    for i, bottle in enumerate(found.bottles):
        lines += _said("" if i or same else "here", _made(bottle))
    return lines + _missing(found)


def _made(bottle: Bottle) -> str:
    name, box = bottle.formulation.name, bottle.composition
    if box is None:
        return f"{name}: {bottle.refusal or 'not built, lacks ' + ', '.join(bottle.lacking)}"
    counts = ", ".join(f"{n} {species}" for species, n in box.counts.items())
    edge = f"{box.box_edge_A / 10:.1f} nm"
    return f"{name}: {box.n_atoms} atoms, {edge}, with {bottle.force_field}: {counts}"


def _missing(found: Standing) -> list[str]:
    """Each thing that is lacking, and the command that makes its parameters."""
    library = load_library()
    salts = {name for bottle in found.bottles for name in bottle.formulation.salts} - set(library.salts)
    lines: list[str] = []
    for name in found.lacking:
        if name in salts:
            how = "lmbmd does not know this salt: its ions are in no species library"
        elif having := [one for one, released in released_sets().items() if name in released.species]:
            how = f"only in {', '.join(having)}"
        else:
            how = how_to_get(name, library)
        lines += _said("" if lines else "missing", f"{name}: {how}")
    return lines + _said("", "docs/parametrize.md says how." if lines else "")


def _said(key: str, text: str) -> list[str]:
    """A text as a paragraph beside its key; nothing if it is empty."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {key:<9}",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
