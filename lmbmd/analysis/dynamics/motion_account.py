"""Diffusion, conductivity, transference and viscosity of a state point. Theory: docs/theory/motion.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from lmbmd.analysis.dynamics.coefficients import conductivity_S_m, diffusion_m2_s, viscosity_mPa_s
from lmbmd.analysis.dynamics.found import (
    Found,
    Stress,
    found_of,
    of_another,
    own_slope,
    quotient,
    reasons,
    total,
    unbounded,
    undefined,
    viscosity_of,
)
from lmbmd.analysis.dynamics.lifetimes import Exchanges
from lmbmd.analysis.dynamics.lifetimes_account import exchange_times
from lmbmd.analysis.dynamics.motion import CLUSTER_CLASSES
from lmbmd.analysis.dynamics.moved import Moved, Moving
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.analysis.shells.speciation import CLASSES
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.numbers.compare import combined
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import SURE, Doubt, Kind, described, doubt, remark, told
from lmbmd.numbers.estimate import Estimate
from lmbmd.numbers.longtime import CrossSlopes, cross_slopes
from lmbmd.numbers.running import end_exponent, msd, running_integral, running_slope

#: Steps between frames are told from steps round the box as long as half a box is five standard deviations: in a liquid
#: one in some hundred thousand is then mistaken.
LONGEST_STEP = 0.1
#: An ion with a smaller part of the squared charges than this may be one of few, whose own motion is not known.
CARRIER = 0.1
#: A Langevin friction from which on molecules are slowed down by more than a few per cent, 1/ps.
DAMPING_PER_PS = 0.1
#: Segments are analysed together if their frames are equally far apart, to this share.
_SAME_INTERVAL = 0.01
#: … and their volumes alike, to this share: that of another density is another state point.
_SAME_VOLUME = 0.1


class _Motion:
    """All that one state point's segments say; each quantity is worked out from what stands above it."""

    def __init__(self, moved: Sequence[Moved], atoms: AtomTable, centre: str) -> None:
        self.moved, self.atoms, self.centre = moved, atoms, centre
        self.names = [s.name for s in atoms.species]
        self.number = np.array([atoms.count(name) for name in self.names], float)
        self.charge = np.array([s.charge for s in atoms.species], float)
        masses = np.add.reduceat(atoms.mass_amu.astype(float), atoms.first_atom_of_unit[:-1])
        self.mass = np.bincount(atoms.unit_species, masses, len(self.names))
        length = np.array([m.length_ps for m in moved])
        self.volume_A3 = float(np.average([m.volume_A3 for m in moved], weights=length))
        self.box_A = np.average([m.box_A for m in moved], axis=0, weights=length)
        self.temperature_K = float(np.average([m.segment.moved_at_K for m in moved], weights=length))
        self.exponent = {name: end_exponent([m.own[name] for m in moved]) for name in self.names}
        self.own = {name: own_slope([m.own[name] for m in moved]) for name in self.names}
        self.cross = cross_slopes([m.species for m in moved])

    @property
    def weights(self) -> np.ndarray:
        """Shares of the segments' lengths."""
        length = np.array([m.length_ps for m in self.moved])
        return length / length.sum()

    def diffusion(self, name: str) -> Found:
        return self.own[name].times(diffusion_m2_s(1.0))

    @property
    def no_current(self) -> Doubt:
        """Why there is no conductivity, apart from statistics."""
        if np.isnan(self.temperature_K):
            return Doubt(Kind.NO_TEMPERATURE)
        net = float(self.charge @ self.number)
        return Doubt(Kind.NET_CHARGE, n=net) if net else SURE

    @property
    def per_slope(self) -> float:
        """S/m per e² Å²/ps."""
        return conductivity_S_m(1.0, self.volume_A3, self.temperature_K)

    def self_part(self, name: str) -> Found:
        """σ of the ions of a species as if each moved alone, N q² e² D / (V k T)."""
        if why := self.no_current:
            return undefined(why)
        k = self.names.index(name)
        return self.own[name].times(self.number[k] * self.charge[k] ** 2 * self.per_slope)

    def onsager(self, u: np.ndarray, v: np.ndarray) -> Found:
        """uᵀ L v of charge-weighted species, S/m; no value where uᵀ L u or vᵀ L v has none."""
        if why := self.no_current:
            return undefined(why)
        found = found_of(self.cross.quadratic(u, v))
        squares = [found] if u is v else [found_of(self.cross.quadratic(w)) for w in (u, v)]
        why = reasons(*squares, *self._carriers)
        return (undefined(why) if why and np.isfinite(found.value) else found).times(self.per_slope)

    @property
    def _carriers(self) -> list[Found]:
        """Own motion of the ions that matter to the current: it is in the motion of all, and longer cannot be known."""
        part = self.number * self.charge**2
        return [self.own[name] for name, x in zip(self.names, part, strict=True) if x > CARRIER * part.sum()]

    @property
    def unknown_current(self) -> Doubt:
        """Why the displacement of charge at long times is not known, whatever the temperature; SURE if it is."""
        return reasons(found_of(self.cross.quadratic(self.charge)), *self._carriers)

    @property
    def ions(self) -> list[str]:
        """Cations first, then by name, so that the names of pairs do not depend on the order of species."""
        charged = [(charge < 0, name) for name, charge in zip(self.names, self.charge, strict=True) if charge]
        return [name for _, name in sorted(charged)]

    def current(self, name: str) -> np.ndarray:
        """Weights of the species' displacements that make the current of one ion species, barycentric."""
        return np.where(np.array(self.names) == name, self.charge, 0.0)

    @property
    def solvent(self) -> np.ndarray:
        """Weights of the species' displacements that make the mean displacement of the neutral molecules, by mass."""
        mass = np.where(self.charge == 0, self.mass, 0.0)
        held = float(mass.sum())
        return mass / np.maximum(self.number, 1) / held if held else mass

    def current_in_solvent(self, name: str) -> np.ndarray:
        """The same relative to the solvent."""
        k = self.names.index(name)
        return self.current(name) - self.charge[k] * self.number[k] * self.solvent

    def transference(self, name: str, current: Sequence[np.ndarray]) -> Found:
        """Σⱼ L(name, j) / Σᵢⱼ L(i, j)."""
        sigma = self.onsager(self.charge, self.charge)
        if np.isnan(sigma.value):
            return undefined(of_another(sigma.doubt))
        mine, all_ions = current[self.ions.index(name)], np.sum(current, axis=0)
        known = self.cross.ratio(_symmetric(mine, all_ions), _symmetric(all_ions, all_ions))
        return Found(known, sigma.doubt or doubt(known), sigma.lags_ps)

    @property
    def stresses(self) -> list[Stress]:
        return [m.stress for m in self.moved if m.stress is not None]

    def viscosity(self) -> Found:
        if not self.stresses:
            return undefined(Doubt(Kind.NO_PRESSURE))
        if np.isnan(self.temperature_K):
            return undefined(Doubt(Kind.NO_TEMPERATURE))
        return viscosity_of(self.stresses, self.temperature_K)


def _symmetric(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.5 * (np.outer(u, v) + np.outer(v, u))


def _share(parts: CrossSlopes, k: int, whole: Found) -> Found:
    """Part k of a sum of parts, over the sum."""
    if np.isnan(whole.value):
        return undefined(of_another(whole.doubt))
    ones = np.ones(len(parts.value))
    known = parts.ratio(_symmetric(np.eye(len(ones))[k], ones), _symmetric(ones, ones))
    return Found(known, whole.doubt or doubt(known), whole.lags_ps)


def motion_account(moved: Sequence[Moved], atoms: AtomTable, centre: str, exchange: pd.DataFrame) -> Account:
    """Descriptors and tables of motion from the segments of one state point.

    Args:
        moved: one per segment.
        atoms: who the atoms are.
        centre: the primary species.
        exchange: the table ``exchange`` of these segments' lifetimes.

    Returns:
        descriptors and tables as docs/theory/motion.md defines them; notes on what may have disturbed the motion.

    Raises:
        LmbmdError: if the segments' frames are not equally far apart, or too far apart to follow the fastest species.
    """
    _check(moved)
    all_, rows = _Motion(moved, atoms, centre), _Rows(_damped(moved))
    viscosity = all_.viscosity()
    tables = {"msd": _msd(moved, all_.names)}
    for name in all_.names:
        rows.add("self_diffusion_m2_s", name, all_.diffusion(name), "m²/s", "⟨|Δr|²⟩ / 6t of mass centres, long times")
    for name in atoms.chains:
        found = own_slope([m.chains[name] for m in moved]).times(diffusion_m2_s(1.0))
        rows.add("chain_self_diffusion_m2_s", name, found, "m²/s", "⟨|Δr|²⟩ / 6t of mass centres of whole chains")
    for name in all_.names:
        method = "self-diffusion without the periodic images: + ξ k T / (6 π η L)"
        found = unbounded(all_.diffusion(name), viscosity, all_.box_A, all_.temperature_K)
        rows.add("self_diffusion_unbounded_m2_s", name, found, "m²/s", method)
    for name in all_.names:
        exponent, low, high = all_.exponent[name]
        found = Found(exponent, doubt(exponent), (low, high))
        if np.isnan(exponent.value):
            found = undefined(all_.own[name].doubt or Doubt(Kind.UNDEFINED))
        rows.add("msd_exponent", name, found, "1", "d ln⟨|Δr|²⟩ / d ln t; 1 for diffusion")
    tables["onsager"] = _conduction(all_, rows)
    rows.add("viscosity_mPa_s", "", viscosity, "mPa s", "V / (k T) ∫⟨p(0) p(t)⟩ dt over five deviators of the pressure")
    tables["conductivity_by_class"] = _by_class(all_, rows)
    _by_state(all_, rows)
    _by_shell(all_, rows, exchange)
    tables["running_integrals"] = _running(all_)
    tables["motion_runs"] = _runs(moved)
    return Account(rows.rows, tables, list(_notes(moved, all_)))


def _check(moved: Sequence[Moved]) -> None:
    first, volume_A3 = moved[0].interval_ps, moved[0].volume_A3
    for number, one in enumerate(moved, start=1):
        if abs(one.volume_A3 - volume_A3) > _SAME_VOLUME * volume_A3:
            raise LmbmdError(
                f"its box has {one.volume_A3 / 1e3:.4g} nm³, that of the first run {volume_A3 / 1e3:.4g} nm³.",
                where=f"run {number}",
                remedy="Analyse boxes of different density one by one.",
            )
        if abs(one.interval_ps - first) > _SAME_INTERVAL * first:
            raise LmbmdError(
                f"its frames are {one.interval_ps:g} ps apart, those of the first run {first:g} ps.",
                where=f"run {number}",
                remedy="Analyse runs written at the same interval together, the others apart.",
            )
        if one.longest_step > LONGEST_STEP:
            raise LmbmdError(
                f"between two frames, {one.interval_ps:g} ps, molecules of {one.fastest} move by "
                f"{100 * one.longest_step:.0f} % of the box (root mean square along a vector): the periodic "
                "image that they moved to cannot be determined.",
                where=f"run {number}",
                remedy="Write frames more often.",
            )


def _damped(moved: Sequence[Moved]) -> Doubt:
    most = np.nanmax([m.segment.friction_per_ps for m in moved] + [0.0])
    return Doubt(Kind.DAMPED, n=float(most)) if most >= DAMPING_PER_PS else SURE


class _Rows:
    """Rows of the descriptor table; what damps the motion is doubted where nothing else is."""

    def __init__(self, damped: Doubt) -> None:
        self.rows: list[Descriptor] = []
        self._damped = damped

    def add(self, name: str, species: str, found: Found, unit: str, definition: str) -> None:
        known = found.estimate
        why = found.doubt or (self._damped if np.isfinite(found.value) else SURE)
        row = described(
            name, species, known.value, known.error, unit, known.n_effective, known.degrees_of_freedom, definition, why
        )
        if found.lags_ps and np.isfinite(found.lags_ps).all() and np.isfinite(found.value):
            lags = "read over {:.4g}–{:.4g} ps".format(*found.lags_ps)
            method = "; ".join(filter(None, [definition, lags, remark(why, known.value, known.error)]))
            row = replace(row, method=method)
        self.rows.append(row)


def _conduction(all_: _Motion, rows: _Rows) -> pd.DataFrame:
    """Conductivity, Onsager coefficients and transference; the table ``onsager``."""
    ions = all_.ions
    own = {name: all_.self_part(name) for name in ions}
    ideal = total([own[name] for name in ions])
    sigma = all_.onsager(all_.charge, all_.charge)
    method = "Σ N q² e² D / (V k T), formal charges"
    rows.add("conductivity_nernst_einstein_S_m", "", ideal, "S/m", method)
    rows.add("conductivity_S_m", "", sigma, "S/m", "⟨|ΔP|²⟩ / (6 V k T t), P = Σ q r of formal charges, long times")
    rows.add("ionicity", "", quotient(sigma, ideal), "1", "conductivity over that of Nernst and Einstein")
    barycentric = [all_.current(name) for name in ions]
    in_solvent = [all_.current_in_solvent(name) for name in ions]
    none = SURE if all_.solvent.any() else Doubt(Kind.NO_SOLVENT)
    told_as = {
        ("barycentric", "total"): "⟨ΔPᵢ·ΔPⱼ⟩ / (6 V k T t) relative to the mass centre of the box",
        ("barycentric", "self"): "its part from each ion's own displacement",
        ("barycentric", "distinct"): "its part from different ions",
        ("solvent", "total"): "⟨ΔPᵢ·ΔPⱼ⟩ / (6 V k T t) relative to the mass centre of the neutral molecules",
    }
    table = []
    for i, j in combinations_with_replacement(range(len(ions)), 2):
        whole = all_.onsager(barycentric[i], barycentric[j])
        mine = own[ions[i]] if i == j else Found(Estimate(0.0, 0.0, np.inf, np.inf, "exact"))
        parts = {
            ("barycentric", "total"): whole,
            ("barycentric", "self"): mine,
            ("barycentric", "distinct"): total([whole, mine.times(-1.0)]) if i == j else whole,
            ("solvent", "total"): undefined(none) if none else all_.onsager(in_solvent[i], in_solvent[j]),
        }
        for (frame, part), found in parts.items():
            entry = found.value, found.estimate.error, *told(found.doubt)
            table.append((ions[i], ions[j], frame, part, *entry))
            if part == "self" and i != j:
                continue
            name = f"onsager_{frame}_S_m" if part == "total" else f"onsager_{frame}_{part}_S_m"
            rows.add(name, f"{ions[i]}|{ions[j]}", found, "S/m", told_as[frame, part])
    cations = [name for name in ions if all_.charge[all_.names.index(name)] > 0]
    for name in cations:
        rows.add("transference_nernst_einstein", name, _part(name, own), "1", "N q² D over Σ N q² D")
    for name in cations:
        method = "Σⱼ Lᵢⱼ / Σᵢⱼ Lᵢⱼ relative to the mass centre of the box"
        rows.add("transference_barycentric", name, all_.transference(name, barycentric), "1", method)
    for name in cations:
        found = undefined(none) if none else all_.transference(name, in_solvent)
        method = "Σⱼ Lᵢⱼ / Σᵢⱼ Lᵢⱼ relative to the mass centre of the neutral molecules"
        rows.add("transference_solvent", name, found, "1", method)
    return pd.DataFrame(table, columns=["first", "second", "frame", "part", "value_S_m", "error", *DOUBT])


def _part(name: str, own: dict[str, Found]) -> Found:
    """a / (a + b) of independent a and b, which has the error of a / b times (b / a) (a / (a + b))²."""
    mine, rest = own[name], [found for other, found in own.items() if other != name]
    if why := reasons(mine, *rest):
        return undefined(why)
    others = total(rest)
    share = mine.value / (mine.value + others.value)
    parts = (1 - share) * mine.estimate.error, share * others.estimate.error
    freedoms = mine.estimate.degrees_of_freedom, others.estimate.degrees_of_freedom
    error, freedom = combined(parts[0], freedoms[0], parts[1], freedoms[1])
    samples = min(mine.estimate.n_effective, others.estimate.n_effective)
    known = Estimate(share, float(error) / (mine.value + others.value), samples, float(freedom))
    return Found(known, mine.doubt or others.doubt)


def _by_class(all_: _Motion, rows: _Rows) -> pd.DataFrame:
    """Shares of the conductivity by what an ion is part of while it moves; the table ``conductivity_by_class``."""
    charges = np.tensordot(all_.weights, [m.class_charge_e2 for m in all_.moved], axes=1)
    parts = cross_slopes([m.classes for m in all_.moved])
    ones = np.ones(len(CLUSTER_CLASSES))
    whole = undefined(why) if (why := all_.unknown_current) else found_of(parts.quadratic(ones))
    if net := float(all_.charge @ all_.number):
        whole = undefined(Doubt(Kind.NET_CHARGE, n=net))
    table = []
    for k, name in enumerate(CLUSTER_CLASSES):
        if charges[k] == 0:
            continue
        found = _share(parts, k, whole)
        rows.add("conductivity_share", name, found, "1", "share of the conductivity carried while in this cluster")
        table.append((name, charges[k] / charges.sum(), found.value, found.estimate.error, *told(found.doubt)))
    return pd.DataFrame(table, columns=["class", "ion_share", "share", "error", *DOUBT])


def _by_state(all_: _Motion, rows: _Rows) -> None:
    """Self-diffusion of the centre while SSIP, CIP and AGG, which add up to its own with the shares of time."""
    share = np.tensordot(all_.weights, [m.state_share for m in all_.moved], axes=1)
    parts = cross_slopes([m.states for m in all_.moved])
    ones = np.ones(len(CLASSES))
    for k, state in enumerate(CLASSES):
        found = undefined(of_another(all_.own[all_.centre].doubt) or Doubt(Kind.UNDEFINED))
        if share[k] > 0 and np.isfinite(all_.own[all_.centre].value):
            found = found_of(parts.quadratic(np.eye(len(ones))[k], ones)).times(diffusion_m2_s(1.0) / share[k])
        method = "∫⟨v(0)·v(t)⟩ / 3 dt of the velocity while in this state and that at all times, over its share of time"
        rows.add("diffusion_by_state_m2_s", f"{all_.centre}:{state}", found, "m²/s", method)


def _by_shell(all_: _Motion, rows: _Rows, exchange: pd.DataFrame) -> None:
    """How far the centre goes while a partner stays, and how much of its diffusion is the shell's."""
    diffusion = all_.own[all_.centre]
    for row in exchange[exchange["centre"] == all_.centre].itertuples():
        found, species = replace(diffusion, doubt=of_another(diffusion.doubt)), str(row.partner)
        if np.isnan(row.tau_ps):
            found = undefined(row.why)
        elif np.isfinite(diffusion.value) and diffusion.value > 0:
            length = float(np.sqrt(diffusion.value * row.tau_ps))
            relative = diffusion.estimate.error / diffusion.value, row.error / row.tau_ps
            freedoms = diffusion.estimate.degrees_of_freedom, row.degrees_of_freedom
            error, freedom = combined(relative[0], freedoms[0], relative[1], freedoms[1])
            samples = min(diffusion.estimate.n_effective, row.losses)
            known = Estimate(length, 0.5 * length * float(error), samples, float(freedom))
            found = Found(known, diffusion.doubt or row.why or doubt(known))
        method = f"√(6 D τ), D of {all_.centre} and τ the mean time until a contact is lost"
        rows.add("displacement_per_residence_A", species, found, "Å", method)
    parts = cross_slopes([m.shells for m in all_.moved])
    whole = found_of(parts.quadratic(np.ones(2))) if np.isfinite(diffusion.value) else diffusion
    found = _share(parts, 0, whole)
    method = "share of the self-diffusion that is the motion of the molecules of the first shell"
    rows.add("vehicular_share", all_.centre, found, "1", method)


def _msd(moved: Sequence[Moved], names: Sequence[str]) -> pd.DataFrame:
    parts = []
    for name in names:
        curve = msd([m.own[name] for m in moved])
        columns = (curve.lag_ps, curve.value, curve.error, curve.exponent, curve.exponent_error)
        keys = ("lag_ps", "msd_A2", "error", "exponent", "exponent_error")
        parts.append(pd.DataFrame({"species": name, **dict(zip(keys, columns, strict=True))}))
    return pd.concat(parts, ignore_index=True)


def _running(all_: _Motion) -> pd.DataFrame:
    """Running integrals behind the viscosity and the conductivity, in their units."""
    parts = []
    if not all_.no_current:
        curve = running_slope([m.species for m in all_.moved], np.outer(all_.charge, all_.charge))
        parts.append(("conductivity", curve, all_.per_slope, "S/m"))
    if all_.stresses and np.isfinite(all_.temperature_K):
        curve = running_integral([s.deviators for s in all_.stresses])
        parts.append(("viscosity", curve, viscosity_mPa_s(1.0, 1.0, all_.temperature_K), "mPa s"))
    tables = [
        pd.DataFrame(
            {"quantity": name, "time_ps": c.lag_ps, "value": factor * c.value, "error": factor * c.error, "unit": unit}
        )
        for name, c, factor, unit in parts
    ]
    columns = ["quantity", "time_ps", "value", "error", "unit"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _runs(moved: Sequence[Moved]) -> pd.DataFrame:
    rows = []
    for m in moved:
        s = m.segment
        rows.append(
            (
                s.replica,
                s.number,
                s.ensemble,
                s.thermostat,
                s.friction_per_ps,
                m.length_ps,
                m.interval_ps,
                s.moved_at_K,
                s.conserved.energy_drift_kJ_mol_ns_per_atom if s.conserved else np.nan,
            )
        )
    columns = ["replica", "segment", "ensemble", "thermostat", "friction_per_ps", "length_ps", "interval_ps"]
    return pd.DataFrame(rows, columns=[*columns, "temperature_K", "energy_drift_kJ_mol_ns_per_atom"])


def _notes(moved: Sequence[Moved], all_: _Motion) -> Iterator[dict[str, str]]:
    if damped := _damped(moved):
        text = f"Motion: {damped}. What is said of it is in part the thermostat's doing."
        yield {"topic": "motion", "text": text}
    if any(m.volume_spread > _FIXED for m in moved):
        text = (
            "Motion is read from runs whose volume changes: the changes are taken out of the displacements, but a "
            "barostat has acted on them. Segments at constant volume say it undisturbed."
        )
        yield {"topic": "motion", "text": text}
    if np.isnan(all_.temperature_K):
        text = f"Conductivity and viscosity were not computed: {Doubt(Kind.NO_TEMPERATURE)}."
        yield {"topic": "motion", "text": text}


#: A volume that changes less than this share of itself is constant: files round.
_FIXED = 1e-5


def _account(found: Findings) -> Account:
    moved = []
    for number, fold in enumerate(found.folds[Moving, 0.0], start=1):
        try:
            moved.append(fold.result())
        except LmbmdError as error:
            return _not_computed(f"Run {number}: {error}")
    setting = found.setting
    try:
        exchange = exchange_times(found.of(Exchanges), setting.atoms)
        return motion_account(moved, setting.atoms, setting.centre, exchange)
    except LmbmdError as error:
        return _not_computed(str(error))


def _not_computed(why: str) -> Account:
    return Account(notes=[{"topic": "motion", "text": f"Motion was not computed. {why}"}])


FAMILY = Family(
    account=_account,
    folds={Moving: Moving, Exchanges: lambda setting, replica: Exchanges(setting.atoms)},
    of_motion=True,
    radius_errors=True,
)
