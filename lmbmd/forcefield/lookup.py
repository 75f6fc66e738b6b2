"""Which molecules and salts there are, and which parameter sets have them: a look into the library, as text."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lmbmd.core.errors import LmbmdError, closest, nearest
from lmbmd.core.words import aligned, listed
from lmbmd.data.library import Library, Salt, Species, load_library
from lmbmd.forcefield.own import OwnSet
from lmbmd.forcefield.sets import available_sets, released_sets

_WIDTH = 100
_NONE = "none: lmbmd parametrize"


def known(own: Mapping[str, OwnSet]) -> Library:
    """lmbmd's species and salts, and those of a user's sets."""
    base = load_library()
    more = {name: species for one in own.values() for name, species in one.library.species.items()}
    return replace(base, species={**base.species, **more})


def look_up(library: Library, words: Sequence[str], role: str = "") -> list[Species | Salt]:
    """Entries that have all of these words in a name, an alias, the title, the formula, the SMILES or the CAS number.

    An entry that a single word names exactly comes alone.

    Args:
        role: that it usually plays; "salt" for salts.

    Raises:
        LmbmdError: if nobody plays such a role, or nothing is found; names what comes closest.
    """
    everyone: list[Species | Salt] = [*library.species.values(), *library.salts.values()]
    roles = {part for entry in everyone for part in roles_of(entry)}
    if role and role not in roles:
        raise LmbmdError(f"no species is a '{role}'.", where="--role", remedy=nearest(role, roles))
    wanted = [_plain(word) for word in words]
    among = [entry for entry in everyone if not role or role in roles_of(entry)]
    named = [entry for entry in among if len(wanted) == 1 and wanted[0] in map(_plain, (entry.name, *entry.aliases))]
    found = named or [entry for entry in among if all(word in text for text in [_text(entry)] for word in wanted)]
    if not found:
        names = [name for entry in among for name in (entry.name, *entry.aliases, entry.title)]
        near = closest(" ".join(words), names)
        advice = f"Did you mean '{near}'?" if near else "`lmbmd species` lists all."
        remedy = f"{advice} A new one: lmbmd parametrize NAME --smiles SMILES."
        raise LmbmdError(f"there is no species or salt like '{' '.join(words)}'.", remedy=remedy)
    return found


def roles_of(entry: Species | Salt) -> tuple[str, ...]:
    """The parts that an entry usually plays."""
    return entry.roles if isinstance(entry, Species) else ("salt",)


def sets_of(entry: Species | Salt, own: Mapping[str, OwnSet]) -> list[str]:
    """The newest version of each parameter set that has all of an entry, and all own sets that do."""
    needed = {entry.name} if isinstance(entry, Species) else set(entry.ions)
    newest = {name.rpartition("-")[0]: name for name in available_sets()}
    found = [name for name in newest.values() if needed <= released_sets()[name].species]
    return found + [name for name, one in own.items() if needed <= {*one.files, *released_sets()[one.extends].species}]


def species_text(entries: Sequence[Species | Salt], own: Mapping[str, OwnSet]) -> str:
    """One entry whole, or a line for each."""
    if len(entries) == 1:
        return _whole(entries[0], own)
    rows = [
        (entry.name, entry.title, " ".join(roles_of(entry)), _formula(entry), ", ".join(sets_of(entry, own)) or _NONE)
        for entry in entries
    ]
    table = aligned(("name", "title", "usually", "formula", "parameters in"), rows, left=range(5))
    return "\n".join([*table, "", f"{len(entries)} found. `lmbmd species NAME` shows one whole, with its other names."])


def _whole(entry: Species | Salt, own: Mapping[str, OwnSet]) -> str:
    lines = {
        "other names": ", ".join(entry.aliases),
        "usually": listed(roles_of(entry)),
        "formula": _formula(entry),
        "parameters in": ", ".join(sets_of(entry, own)) or _NONE,
    }
    if isinstance(entry, Species):
        density = f"{entry.density_g_cm3:g} g/cm³ at {entry.density_T_K:g} K" if entry.density_g_cm3 else ""
        lines |= {
            "SMILES": entry.smiles,
            "molar mass": f"{entry.molar_mass_g_mol:g} g/mol",
            "density": f"{density} ({entry.density_source})" if density and entry.density_source else density,
            "donor sites": ", ".join(f"{entry.name}:{site}" for site in entry.sites),
            "caution": entry.caution,
        }
    lines["CAS"] = entry.cas
    said = [line for key, text in lines.items() if text for line in _wrapped(f"{key}:", text)]
    return "\n".join([f"{entry.name}: {entry.title}", *said])


def _wrapped(key: str, text: str) -> Iterable[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"  {key:<15}", subsequent_indent=" " * 17, break_long_words=False
    )


def _formula(entry: Species | Salt) -> str:
    if isinstance(entry, Salt):
        return " + ".join(f"{n} {ion}" if n > 1 else ion for ion, n in entry.ions.items())
    return entry.formula + (f" ({entry.charge:+d})" if entry.charge else "")


def _text(entry: Species | Salt) -> str:
    """All that an entry can be found by, comparable."""
    parts = [entry.name, *entry.aliases, entry.title, entry.cas, _formula(entry)]
    return "\n".join(map(_plain, [*parts, entry.smiles] if isinstance(entry, Species) else parts))


def _plain(text: str) -> str:
    """Whatever its case, spaces, sub- and superscripts."""
    return "".join(unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").split()).casefold()
