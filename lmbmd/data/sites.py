"""Cut-offs that a user gives by donor site: how the site may be written, and how far a cut-off may reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import Number
from lmbmd.core.validation import saying

#: No contact between two atoms is shorter, but for bonds to hydrogen; a radius below it was meant in nm.
LEAST_RADIUS_A = 1.2


def _in_angstrom(value: float) -> float:
    if value < LEAST_RADIUS_A:
        raise LmbmdError(
            f"{value:g} Å is shorter than any contact (the least is {LEAST_RADIUS_A:g} Å).",
            remedy=f"Radii are given in Å; if this is in nm, write {10 * value:g}.",
        )
    return value


#: A radius that is compared with distances between atoms, Å.
Radius = Annotated[Number, AfterValidator(saying(_in_angstrom)), Field(json_schema_extra={"minimum": LEAST_RADIUS_A})]
#: Radius of a first shell, Å.
CutoffRadius = Annotated[Radius, Field(le=20)]


def site_keys(centres: Iterable[str], sites: Iterable[str]) -> dict[str, str]:
    """Every way to write the key of a cut-off → how lmbmd writes it.

    Args:
        centres: species that are looked from.
        sites: labels of donor sites, such as ``"FSI:O"``.

    Returns:
        ``FSI:O`` and ``FSI-O`` are ``FSI:O``, the site seen from every centre; ``Li-FSI:O`` and ``Li-FSI-O`` are
        ``Li-FSI:O``, seen from Li alone.
    """
    keys = {}
    for site in sites:
        for text in (site, site.replace(":", "-")):
            keys[text] = site
            keys |= {f"{centre}-{text}": f"{centre}-{site}" for centre in centres}
    return keys


def named_cutoffs(
    given_A: Mapping[str, float], keys: Mapping[str, str], where: Callable[[str], str]
) -> dict[str, float]:
    """Radii by key as lmbmd writes it.

    Args:
        given_A: radii by key as a user writes it, Å.
        keys: from ``site_keys``.
        where: the place of a key, for messages.

    Raises:
        LmbmdError: if a key names no site, or two keys the same one.
    """
    found: dict[str, float] = {}
    for key, radius in given_A.items():
        if key not in keys:
            remedy = nearest(key, [name for name in keys if ":" in name])
            raise LmbmdError(f"there is no donor site '{key}'.", where=where(key), remedy=remedy)
        if keys[key] in found:
            raise LmbmdError(f"'{key}' is given twice.", where=where(key), remedy="Keep one of the two.")
        found[keys[key]] = float(radius)
    return found
