"""The relative permittivity of the neutral molecules. Theory: docs/theory/permittivity.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from lmbmd.analysis.dynamics.coefficients import permittivity
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable
from lmbmd.numbers.doubt import BOUNDS, SURE, Doubt, Kind, descriptor
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.numbers.fluctuation import mean_square

#: What rounding may leave of the charge of a neutral molecule, e.
_ROUNDING_E = 0.01
#: A mean dipole that is so far from zero by chance with a lower probability is not zero.
_POLARISED = 1e-3
_NOTHING = Estimate(float("nan"), float("nan"), 0.0)


class Dipoles:
    """Fold over the frames of one replica: the dipole of all neutral molecules over the root of the volume.

    Dipoles are about mass centres, so that a small rest of charge that rounding left on a molecule does no harm.

    Args:
        atoms: who the atoms are.
    """

    def __init__(self, atoms: AtomTable) -> None:
        self._neutral = _neutral_species(atoms)
        self._found: list[np.ndarray] = []

    def add(self, shell: FirstShell) -> None:
        """Add one frame."""
        frame = shell.contacts
        self._found.append(frame.dipole[self._neutral].sum(axis=0) / np.sqrt(frame.volume_A3))

    def result(self) -> np.ndarray:
        """(n_frames, 3) M / √V, e Å / Å^(3/2)."""
        return np.array(self._found).reshape(-1, 3)


def permittivity_account(dipoles: Sequence[np.ndarray], atoms: AtomTable, temperature_K: float) -> Account:
    """What ``Dipoles`` found: the descriptor ``relative_permittivity``.

    Args:
        dipoles: (n_frames, 3) M / √V of each replica, e Å / Å^(3/2).
        atoms: who the atoms are, and their partial charges.
        temperature_K: NaN if nobody told.
    """
    why = _no_dipoles(atoms) or (Doubt(Kind.NO_TEMPERATURE) if np.isnan(temperature_K) else SURE)
    found, why = (_NOTHING, why) if why else _permittivity(dipoles, temperature_K)
    method = "1 + ⟨M²⟩ / (3 ε₀ V k T), M the dipole of all neutral molecules, without ions and electronic part"
    return Account([descriptor("relative_permittivity", "", found, "1", method, why)])


def _permittivity(dipoles: Sequence[np.ndarray], temperature_K: float) -> tuple[Estimate, Doubt]:
    """The value, or why there is none, with a bound where the run is too short."""
    square, why = mean_square(dipoles)
    per_square = permittivity(1.0, temperature_K) - 1.0
    if why.kind in BOUNDS:
        return square, replace(why, n=1.0 + per_square * why.n)
    if why or _is_polarised(dipoles):
        return _NOTHING, why or Doubt(Kind.POLARISED)
    return replace(square, value=1.0 + per_square * square.value, error=per_square * square.error), SURE


def _is_polarised(dipoles: Sequence[np.ndarray]) -> bool:
    """Whether the mean dipole is not zero beyond chance (F test of its three components)."""
    means = [estimate_mean([one[:, k] for one in dipoles]) for k in range(3)]
    ratio = sum(mean.value**2 for mean in means) / sum(mean.error**2 for mean in means)
    return bool(stats.f.sf(ratio, 3, sum(mean.degrees_of_freedom for mean in means)) < _POLARISED)


def _neutral_species(atoms: AtomTable) -> np.ndarray:
    """(n_species,) whether the molecules of a species are neutral; those of a chain with a charged unit are not."""
    charged = {s.chain for s in atoms.species if s.charge and s.chain}
    return np.array([s.charge == 0 and s.chain not in charged for s in atoms.species])


def _no_dipoles(atoms: AtomTable) -> Doubt:
    """Why the dipoles of the neutral molecules are not known; none if they are."""
    neutral = _neutral_species(atoms)[atoms.molecule_species]
    if not neutral.any():
        return Doubt(Kind.NO_SOLVENT)
    charge = np.add.reduceat(atoms.charge_e.astype(float), atoms.first_atom[:-1])
    name = lambda molecule: atoms.species[atoms.molecule_species[molecule]].name  # noqa: E731
    if (unknown := np.flatnonzero(neutral & np.isnan(charge))).size:
        return Doubt(Kind.NO_PARTIAL_CHARGES, of=name(unknown[0]))
    if (charged := np.flatnonzero(neutral & (np.abs(charge) > _ROUNDING_E))).size:
        return Doubt(Kind.NOT_NEUTRAL, n=float(charge[charged[0]]), of=name(charged[0]))
    return SURE if atoms.charge_e[neutral[atoms.molecule]].any() else Doubt(Kind.NO_DIPOLE)


def _account(found: Findings) -> Account:
    setting = found.setting
    known = [one.temperature_K for one in setting.segments if not np.isnan(one.temperature_K)]
    temperature_K = float(np.mean(known)) if known else float("nan")
    return permittivity_account(found.of(Dipoles), setting.atoms, temperature_K)


FAMILY = Family(account=_account, folds={Dipoles: lambda setting, replica: Dipoles(setting.atoms)})
