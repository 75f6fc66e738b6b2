"""First-shell cut-offs from radial distribution functions: the first minimum, or a stated fallback."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd
from scipy.ndimage import convolve1d

from lmbmd.analysis.shells import valley
from lmbmd.analysis.shells.options import LI_FALLBACK_A, LI_WINDOW_A
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import FrameContacts
from lmbmd.data.ions import ANIONS_A, DONORS_A, IONS
from lmbmd.data.rdf import Rdf
from lmbmd.data.sites import named_cutoffs, site_keys
from lmbmd.numbers.doubt import SURE, Doubt, Kind

#: Where the second minimum of Li⁺ – mass-centre functions must lie, and the fallback, Å.
LI_SECOND_WINDOW_A = (6.0, 10.0)
LI_SECOND_FALLBACK_A = 7.5
#: Width (standard deviation) of the Gaussian that smooths g(r) before its turning points are sought, Å.
SMOOTHING_A = 0.05
SECOND_SMOOTHING_A = 0.2
#: A turning point counts once g has come back from it by this much and by this many Poisson errors.
LEAST_TURN_G = 0.02
LEAST_TURN_SIGMA = 4.0
#: A dip that stays above this share of the lower of its two neighbouring maxima splits one shell in two peaks.
SPLIT_SHARE = 0.5
#: A first maximum below the bulk density is no shell: the partner is rarer there than anywhere further out.
BULK_G = 1.0
#: The minimum is the middle of the valley floor: all within this much, or this share of the peak, of the lowest g.
FLOOR_G = 0.02
FLOOR_SHARE = 0.005
#: A valley whose floor moves by no more than this with the noise of its counts is sharp, Å: two bins.
SHARP_A = 0.1
#: What of a ``Cutoff`` stands in tables as it is.
NUMBERS = ("centre", "partner", "cutoff_A", "peak_A", "peak_g", "minimum_A", "minimum_g", "error_A")


class Basis(StrEnum):
    """What rule gave the edge of a shell. The values stand in files."""

    FIRST_MINIMUM = "first_minimum"
    FITTED_MINIMUM = "fitted_minimum"
    SECOND_MINIMUM = "second_minimum"
    CENTRE_MINIMUM = "centre_minimum"
    GIVEN = "given"
    FALLBACK = "fallback"
    NONE = "none"


_RULES = {
    Basis.FIRST_MINIMUM: "first minimum",
    Basis.FITTED_MINIMUM: "first minimum of a smooth curve",
    Basis.SECOND_MINIMUM: "second minimum",
    Basis.CENTRE_MINIMUM: "first minimum after 5 Å",
    Basis.GIVEN: "given",
    Basis.FALLBACK: "fallback: {why}",
    Basis.NONE: "none: {why}",
}


@dataclass(frozen=True)
class Cutoff:
    """The edge of a shell, and what the RDF showed.

    Attributes:
        centre, partner: species of the centre; site (``"FSI:O"``) or species (by mass centre).
        cutoff_A: the radius used; NaN if there is none, which only second shells may lack.
        peak_A, peak_g: first maximum of g(r), its position interpolated between bins; NaN if there is none.
        minimum_A, minimum_g: the minimum after it; NaN if there is none.
        basis: which rule gave the radius.
        why: for a fallback, or where there is none: what the RDF lacks.
        error_A: standard error of a first minimum's position from the counts; NaN for radii of another basis.
    """

    centre: str
    partner: str
    cutoff_A: float
    peak_A: float
    peak_g: float
    minimum_A: float
    minimum_g: float
    basis: Basis
    why: Doubt = SURE
    error_A: float = float("nan")

    @property
    def is_uncertain(self) -> bool:
        """Whether the valley is so broad and noisy that the error is one of what follows from the radius, too."""
        return self.basis is Basis.FITTED_MINIMUM or self.error_A > SHARP_A

    @property
    def rule(self) -> str:
        """The rule in words, with the reason for a fallback."""
        return _RULES[self.basis].format(why=self.why)


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """First-shell cut-offs of every centre species and donor site.

    Attributes:
        rows: one per pair.
        radius_A: (n_species, n_sites) the same as an array; 0 for species that are no centres.
    """

    rows: tuple[Cutoff, ...]
    radius_A: np.ndarray

    def first_shell(self, full: FrameContacts, atoms: AtomTable, shift_A: float = 0.0) -> FrameContacts:
        """The contacts of ``full`` within their cut-offs, each moved by ``shift_A``."""
        centre_species = atoms.species_id[atoms.centres]
        radius = self.radius_A[centre_species[full.row], atoms.site_id[full.atom]]
        return full.within(radius + shift_A)

    @classmethod
    def of(cls, rows: Iterable[Cutoff], atoms: AtomTable) -> Cutoffs:
        """From rows, in any order."""
        rows = tuple(rows)
        radius = np.zeros((len(atoms.species), len(atoms.sites)))
        for row in rows:
            radius[atoms.species_index(row.centre), atoms.sites.index(row.partner)] = row.cutoff_A
        return cls(rows, radius)

    @classmethod
    def from_table(cls, table: pd.DataFrame, atoms: AtomTable) -> Cutoffs:
        """From the table ``cutoffs`` of a description; rows of second shells are left out."""
        first = table[table["shell"] == "first"]
        kinds = zip(map(Basis, first["basis"]), map(Kind, first["why"]), strict=True)
        radii = first[list(NUMBERS)].to_dict("records")
        rows = (Cutoff(**row, basis=b, why=Doubt(why)) for row, (b, why) in zip(radii, kinds, strict=True))
        return cls.of(rows, atoms)

    def moved(self, row: Cutoff, by_A: float, atoms: AtomTable) -> Cutoffs:
        """The same with one of ``rows`` further out by ``by_A``."""
        rows = (replace(r, cutoff_A=r.cutoff_A + by_A) if r is row else r for r in self.rows)
        return Cutoffs.of(rows, atoms)


def shifted_window(
    element: str, window_A: tuple[float, float], fallback_A: float, donor: str = "", is_anion: bool = False
) -> tuple[tuple[float, float], float] | None:
    """Window and fallback of Li⁺ and an O, N or F of a molecule, moved to another ion and to another partner.

    Both move by the difference of the cations' ionic radii. Round a monatomic anion they move by how much larger it is
    than O²⁻ too, and the window reaches to where the next anions are in rock salt, √3 (r₊ + r₋), for nothing else of a
    molecule follows it. At a large donor atom (S, Cl, Br …) of a molecule they move by the difference of its van der
    Waals radius from that of O.

    Args:
        element: of the centre.
        window_A, fallback_A: those of Li⁺.
        donor: element of the partner's atom.
        is_anion: whether this atom is a whole anion.

    Returns:
        None if the radius of an ion is not known.
    """
    if element not in IONS or (is_anion and donor not in ANIONS_A):
        return None
    shift = IONS[element].radius_A - IONS["Li"].radius_A
    end = window_A[1] + shift
    if is_anion:
        shift += ANIONS_A[donor] - ANIONS_A["O"]
        end = max(window_A[1] + shift, math.sqrt(3) * (IONS[element].radius_A + ANIONS_A[donor]))
    elif donor in DONORS_A:
        shift += DONORS_A[donor] - DONORS_A["O"]
        end = window_A[1] + shift
    return (window_A[0] + shift, end), fallback_A + shift


def smoothed(
    r_A: np.ndarray, g: np.ndarray, cn: np.ndarray, n_samples: float, width_A: float
) -> tuple[np.ndarray, np.ndarray]:
    """g(r) smoothed as a ratio of counts, and its Poisson error.

    The pairs found in each bin, N = n_samples·ΔCN, and those expected at bulk density, N₀ ∝ r² dr, are each
    smoothed with one Gaussian; their ratio is g. Bins of many and of few pairs are thus weighted as they deserve,
    and an empty bin has a finite error, that of one pair.

    Args:
        r_A: (n,) centres of equal bins, Å.
        g: (n,) radial distribution function.
        cn: (n,) running coordination number at the bins' upper edges.
        n_samples: centres × frames behind ``cn``.
        width_A: standard deviation of the Gaussian, Å.

    Returns:
        smoothed g (n,) and its standard error (n,); zeros and infinities if no pair was found at all.
    """
    pairs, expected = counts(r_A, g, cn, n_samples)
    if not expected.any():
        return np.zeros_like(g), np.full_like(g, np.inf)
    kernel = _gaussian(r_A, width_A)
    at_bulk = _run(expected, kernel)
    variance = np.maximum(_run(pairs, kernel**2), kernel[len(kernel) // 2] ** 2)
    return _run(pairs, kernel) / at_bulk, np.sqrt(variance) / at_bulk


def counts(r_A: np.ndarray, g: np.ndarray, cn: np.ndarray, n_samples: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs found in each bin, and those expected at bulk density (zeros without pairs); see ``smoothed``."""
    dr = r_A[1] - r_A[0]
    pairs = np.diff(cn, prepend=0.0) * n_samples
    volume = r_A**2 * dr + dr**3 / 12
    if not pairs.sum() > 0 or not (g * volume).sum() > 0:
        return pairs, np.zeros_like(g)
    return pairs, volume * pairs.sum() / (g * volume).sum()


def _gaussian(r_A: np.ndarray, width_A: float) -> np.ndarray:
    dr = r_A[1] - r_A[0]
    reach = max(int(np.ceil(4 * width_A / dr)), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * dr / width_A) ** 2)
    return kernel / kernel.sum()


def _run(y: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return convolve1d(y, kernel, mode="constant")


def turning_points(y: np.ndarray, error: np.ndarray) -> list[tuple[int, int]]:
    """Maxima and minima of a noisy curve that rises first: (index, +1 or −1), alternating.

    A point is a turning point when the curve has since come back from it by more than ``LEAST_TURN_G`` and more
    than ``LEAST_TURN_SIGMA`` combined errors, before going beyond it.
    """
    turns: list[tuple[int, int]] = []
    sign, best = 1, 0
    for i in range(len(y)):
        if sign * (y[i] - y[best]) > 0:
            best = i
        elif sign * (y[best] - y[i]) > max(LEAST_TURN_G, LEAST_TURN_SIGMA * np.hypot(error[best], error[i])):
            turns.append((best, sign))
            sign, best = -sign, i
    return turns


def _valley(y: np.ndarray, error: np.ndarray, lo: int, hi: int) -> tuple[int, int, int]:
    """Lowest point of ``y[lo:hi]`` and the first and last bin of the floor around it."""
    low = lo + int(np.argmin(y[lo:hi]))
    level = y[low] + max(FLOOR_G, FLOOR_SHARE * y[lo], error[low])
    first, last = low, low
    while first > lo and y[first - 1] <= level:
        first -= 1
    while last + 1 < hi and y[last + 1] <= level:
        last += 1
    return low, first, last


def summit(r_A: np.ndarray, g: np.ndarray, peak: int) -> tuple[float, float]:
    """Position and height of the highest bin of the raw g(r) next to a smoothed maximum.

    The position is that of the parabola through this bin and its neighbours: a contact's peak is hardly wider than
    a bin.
    """
    bin_A = r_A[1] - r_A[0]
    near = np.flatnonzero(np.abs(r_A - r_A[peak]) < SMOOTHING_A + 0.5 * bin_A)
    top = near[np.argmax(g[near])]
    before, at, after = g[max(top - 1, 0)], g[top], g[min(top + 1, len(g) - 1)]
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(r_A[top] + np.clip(offset, -0.5, 0.5) * bin_A), float(at)


def first_minimum(
    r_A: np.ndarray,
    g: np.ndarray,
    cn: np.ndarray,
    n_samples: float,
    window_A: tuple[float, float] = LI_WINDOW_A,
    fallback_A: float = LI_FALLBACK_A,
    centre: str = "",
    partner: str = "",
    inflation: float = 1.0,
) -> Cutoff:
    """The edge of the first shell.

    g(r) is smoothed (``smoothed``, 0.05 Å) and its significant turning points found (``turning_points``). The first
    maximum must lie before the end of the window, and reach the bulk density there (g ≥ 1 after smoothing): a partner
    that is rarer next to the centre than far from it has no shell, and lower maxima are passed over. The edge is the
    first minimum after it that reaches into the window, more exactly the middle of that valley's floor inside the
    window (the floor: g within 0.02, 0.5 % of the peak or one Poisson error of the lowest, whichever is most). So a
    gap that is empty from 2.4 to 3.2 Å gives 2.8 Å, and one stray pair in it changes nothing. A dip between two maxima
    inside the window that stays above half of the lower one splits one shell in two peaks and is passed over; a
    shoulder has no dip and needs no rule.

    How far the noise of the counts moves this floor is told by counts drawn anew (``valley.drawn``). If that is more
    than 0.1 Å the valley is broad and noisy: the floor, by the same definition, is then that of a smooth curve
    (``valley.fitted_floor``) through the bins of the lower half of the valley, and its error that of the curve.

    Args:
        r_A, g, cn, n_samples: as for ``smoothed``.
        window_A: where the minimum must lie, Å.
        fallback_A: radius used when there is no such minimum, Å.
        centre, partner: labels for the result.
        inflation: variance of the counts over that of independent ones (``valley.inflation``).

    Returns:
        Cutoff; its basis is ``FIRST_MINIMUM``, ``FITTED_MINIMUM`` or ``FALLBACK``. A species without a shell (a
        diluent) or without a single pair gives a fallback, never an error.
    """

    def fallback(why: Doubt, peak_A: float = np.nan, peak_g: float = np.nan) -> Cutoff:
        return Cutoff(centre, partner, fallback_A, peak_A, peak_g, np.nan, np.nan, Basis.FALLBACK, why)

    y, error = smoothed(r_A, g, cn, n_samples, SMOOTHING_A)
    if not y.any():
        return fallback(Doubt(Kind.NO_PAIR))
    turns = turning_points(y, error)
    maxima = [i for i, sign in turns if sign > 0]
    if not maxima:
        return fallback(Doubt(Kind.NO_MAXIMUM))
    lowest = maxima[0]
    if r_A[lowest] >= window_A[1]:
        return fallback(Doubt(Kind.NO_FIRST_SHELL, at=float(r_A[lowest])), *summit(r_A, g, lowest))
    while maxima and y[maxima[0]] < BULK_G:
        maxima.pop(0)
    if not maxima or r_A[maxima[0]] >= window_A[1]:
        why = Doubt(Kind.BELOW_BULK, n=float(y[lowest]))
        return fallback(why, *summit(r_A, g, lowest))
    peak = maxima.pop(0)
    seen = summit(r_A, g, peak)
    start = peak
    while True:
        end = maxima.pop(0) if maxima else len(r_A)
        low, first, last = _valley(y, error, start, end)
        followed = end < len(r_A) and r_A[end] < window_A[1]
        if not followed or (r_A[last] >= window_A[0] and y[low] <= SPLIT_SHARE * min(y[start], y[end])):
            break
        start = end

    def middle(floor: Sequence[float] | np.ndarray) -> float:
        """Middle of a floor as far as it is inside the window, or the end of the window that is nearest to it."""
        return 0.5 * float(np.clip(floor[0], *window_A) + np.clip(floor[1], *window_A))

    pairs, expected = counts(r_A, g, cn, n_samples)
    kernel = _gaussian(r_A, SMOOTHING_A)
    curves = _run(valley.drawn(pairs, inflation), kernel) / _run(expected, kernel)
    floors = np.array([r_A[list(_valley(curve, error, start, end)[1:])] for curve in curves])
    floor, at, basis = r_A[[first, last]], float(r_A[low]), Basis.FIRST_MINIMUM
    if valley.spread(middle, floors, middle(floor)) > SHARP_A:
        lower = _lower_half(y, start, end, low)
        tolerance = max(FLOOR_G, FLOOR_SHARE * y[start])
        fitted = valley.fitted_floor(r_A[lower], pairs[lower], expected[lower], tolerance, inflation)
        floor, floors, basis = fitted[0], fitted[1:], Basis.FITTED_MINIMUM
        at = float(floor.mean())
    # A floor that may as well reach into the window does: else its noise would decide between window and fallback.
    slack = valley.spread(np.mean, floors, float(floor.mean()))
    if floor[0] - slack > window_A[1] or floor[1] + slack < window_A[0]:
        return fallback(Doubt(Kind.MINIMUM_OUTSIDE, at=at, low=window_A[0], high=window_A[1]), *seen)
    edge = middle(floor)
    inside = floor[0] <= window_A[1] and floor[1] >= window_A[0]
    error_A = valley.spread(middle, floors, edge) if inside else slack
    height = float(np.interp(edge, r_A, y))
    return Cutoff(centre, partner, edge, *seen, edge, height, basis, error_A=error_A)


def _lower_half(y: np.ndarray, start: int, end: int, low: int) -> slice:
    """The bins round the lowest one, between two maxima, that are in the lower half of the valley's depth."""
    rim = min(y[start], y[end] if end < len(y) else y[low:].max())
    above = y > y[low] + valley.FITTED_SHARE * (rim - y[low])
    before, after = np.flatnonzero(above[start:low]), np.flatnonzero(above[low:end])
    first = start + int(before[-1]) + 1 if len(before) else start
    return slice(first, low + int(after[0]) if len(after) else end)


def second_minimum(
    r_A: np.ndarray,
    g: np.ndarray,
    cn: np.ndarray,
    n_samples: float,
    window_A: tuple[float, float] = LI_SECOND_WINDOW_A,
    fallback_A: float = LI_SECOND_FALLBACK_A,
    centre: str = "",
    partner: str = "",
) -> Cutoff:
    """The edge of the second shell, from g(r) of the partner's mass centre.

    Bound molecules show one or two mass-centre peaks (one per denticity), so minima are not counted: the edge is the
    first significant minimum inside the window that follows a significant maximum beyond 1 Å before the window
    (5 Å for Li⁺, where no mass centre of a bound ion of the library lies further out), after smoothing by 0.2 Å.

    Args, returns: as for ``first_minimum``; the basis is ``SECOND_MINIMUM`` or ``FALLBACK``. Where the
    RDF ends before the fallback radius, the radius is the end of the RDF. Where the second shell's maximum lies at
    or beyond the fallback radius there is no edge: the radius is NaN and the basis ``NONE``.
    """

    def fallback(why: Doubt, peak_A: float = np.nan, peak_g: float = np.nan) -> Cutoff:
        radius = min(fallback_A, float(r_A[-1]))
        if peak_A >= radius:
            why = Doubt(Kind.BEYOND_FALLBACK, at=peak_A, low=radius, because=(why,))
            return Cutoff(centre, partner, np.nan, peak_A, peak_g, np.nan, np.nan, Basis.NONE, why)
        return Cutoff(centre, partner, radius, peak_A, peak_g, np.nan, np.nan, Basis.FALLBACK, why)

    y, error = smoothed(r_A, g, cn, n_samples, SECOND_SMOOTHING_A)
    if not y.any():
        return fallback(Doubt(Kind.NO_PAIR))
    turns = turning_points(y, error)
    peaks = [i for i, sign in turns if sign > 0 and r_A[i] >= window_A[0] - 1.0]
    if not peaks or r_A[peaks[0]] >= window_A[1]:
        return fallback(Doubt(Kind.NO_SECOND_SHELL))
    peak = peaks[0]
    seen = (float(r_A[peak]), float(y[peak]))
    minima = [i for i, sign in turns if sign < 0 and i > peak]
    if not minima:
        return fallback(Doubt(Kind.NO_SECOND_MINIMUM), *seen)
    low, first, last = _valley(y, error, peak, peaks[1] if len(peaks) > 1 else len(r_A))
    if not window_A[0] <= r_A[low] <= window_A[1]:
        return fallback(Doubt(Kind.SECOND_OUTSIDE, at=float(r_A[low])), *seen)
    edge = 0.5 * (max(r_A[first], window_A[0]) + min(r_A[last], window_A[1]))
    return Cutoff(centre, partner, edge, *seen, edge, float(np.interp(edge, r_A, y)), Basis.SECOND_MINIMUM)


def centre_species(atoms: AtomTable) -> list[str]:
    """Names of the species looked from, in the order of the table."""
    present = set(atoms.species_id[atoms.centres].tolist())
    return [s.name for k, s in enumerate(atoms.species) if k in present]


def _element(atoms: AtomTable, species: str) -> str:
    return str(atoms.element[np.argmax(atoms.species_id == atoms.species_index(species))])


def _donor(atoms: AtomTable, site: str) -> tuple[str, bool]:
    """The element of a site, and whether its atom is a whole anion."""
    atom = int(np.argmax(atoms.site_id == atoms.sites.index(site)))
    molecule = atoms.unit[atom]
    alone = atoms.first_atom_of_unit[molecule + 1] - atoms.first_atom_of_unit[molecule] == 1
    return str(atoms.element[atom]), bool(alone and atoms.species[atoms.species_id[atom]].charge < 0)


def first_shell_cutoffs(
    rdf: Rdf,
    atoms: AtomTable,
    given_A: Mapping[str, float] | None = None,
    window_A: tuple[float, float] = LI_WINDOW_A,
    fallback_A: float = LI_FALLBACK_A,
) -> Cutoffs:
    """Cut-offs of every (centre species, donor site), each from its own RDF.

    Args:
        rdf: of all replicas together; pairs it lacks use the fallback.
        atoms: the box.
        given_A: cut-offs fixed by the user, by site (``"FSI:O"`` or ``"FSI-O"``), or for one centre species
            (``"Na-FSI:O"``), Å.
        window_A, fallback_A: for Li⁺ and O, N and F; moved for other ions and partners (``shifted_window``).

    Raises:
        LmbmdError: if a given cut-off names no site of the box, or one that another names, or if the ionic radius of
            a centre, or of a monatomic anion, is not known and its cut-offs are not given.
    """
    centres = centre_species(atoms)
    keys = site_keys(centres, atoms.sites)
    given = named_cutoffs(given_A or {}, keys, where=lambda key: f"cutoffs_A.{key}")
    rows = []
    for centre in centres:
        radii = {site: given.get(f"{centre}-{site}", given.get(site)) for site in atoms.sites}
        element = _element(atoms, centre)
        moved = {site: shifted_window(element, window_A, fallback_A, *_donor(atoms, site)) for site in radii}
        if left := [site for site, radius in radii.items() if radius is None and moved[site] is None]:
            unknown = element if element not in IONS else _donor(atoms, left[0])[0]
            raise LmbmdError(
                f"the ionic radius of {unknown} is not known, so no first minimum can be looked for.",
                where=f"centre {centre}",
                remedy=f"Give cutoffs_A of {', '.join(left)}.",
            )
        for site, radius in radii.items():
            window, fallback = moved[site] or (window_A, fallback_A)
            rule = partial(first_minimum, inflation=_inflation(rdf, centre, site, window))
            row = _from_rdf(rule, rdf, atoms, centre, site, window, fallback)
            rows.append(
                row if radius is None else replace(row, cutoff_A=radius, basis=Basis.GIVEN, error_A=float("nan"))
            )
    return Cutoffs.of(rows, atoms)


def first_peak(rdf: Rdf, atoms: AtomTable, centre: str, partner: str) -> Cutoff:
    """The first significant maximum of any pair, wherever it is; what is said of an edge after it is of no use."""
    return _from_rdf(first_minimum, rdf, atoms, centre, partner, (0.1, rdf.reach_A), float("nan"))


def second_shell_cutoffs(rdf: Rdf, atoms: AtomTable, centre: str) -> tuple[Cutoff, ...]:
    """Edges of the second shell round ``centre`` of every species that has a donor site, by mass centres.

    Around an ion of unknown radius there are none.
    """
    moved = shifted_window(_element(atoms, centre), LI_SECOND_WINDOW_A, LI_SECOND_FALLBACK_A)
    partners = [atoms.species[k].name for k in sorted(set(atoms.species_of_site.tolist()))]
    if moved is None:
        nan, why = float("nan"), Doubt(Kind.NO_IONIC_RADIUS, of=_element(atoms, centre))
        return tuple(Cutoff(centre, p, nan, nan, nan, nan, nan, Basis.NONE, why) for p in partners)
    return tuple(_from_rdf(second_minimum, rdf, atoms, centre, p, *moved) for p in partners)


def _inflation(rdf: Rdf, centre: str, partner: str, window_A: tuple[float, float]) -> float:
    """By how much the counts in the window vary more between blocks than independent ones would."""
    if (centre, partner) not in rdf.pairs:
        return 1.0
    inside = (rdf.r_A >= window_A[0]) & (rdf.r_A <= window_A[1])
    per_frame = rdf.count[:, rdf.pair(centre, partner)][:, inside].sum(axis=1)
    return valley.inflation(per_frame * rdf.frames, rdf.frames)


def _from_rdf(
    rule: Callable[..., Cutoff],
    rdf: Rdf,
    atoms: AtomTable,
    centre: str,
    partner: str,
    window_A: tuple[float, float],
    fallback_A: float,
) -> Cutoff:
    """Apply ``rule`` to one pair of an Rdf, as far out as every frame was sampled."""
    if (centre, partner) not in rdf.pairs:
        nan = float("nan")
        return Cutoff(centre, partner, fallback_A, nan, nan, nan, nan, Basis.FALLBACK, Doubt(Kind.NO_RDF))
    g, cn = rdf.mean(rdf.pair(centre, partner))
    sampled = rdf.edges_A[1:] <= rdf.reach_A + 1e-9
    n_samples = float(rdf.frames.sum()) * atoms.count(centre)
    return rule(rdf.r_A[sampled], g[sampled], cn[sampled], n_samples, window_A, fallback_A, centre, partner)
