"""The running simulation: an OpenMM Context with its integrator, stepped, measured, saved and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.provenance import derived_seed
from lmbmd.data.cell import Cell
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.engines.platform import create_context
from lmbmd.simulate.logs import Row
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import RunSpec

#: A kinetic temperature beyond this multiple of the thermostat's means that the run is exploding. Fluctuations are
#: a fraction √(2/degrees of freedom) of it: more than twenty of them away for 200 degrees of freedom.
HOT = 3.0
#: amu/Å³ in g/cm³ (CODATA 2018 atomic mass constant).
_DENSITY = 1.66053906660
_GAS_KJ_MOL_K = unit.MOLAR_GAS_CONSTANT_R.value_in_unit(unit.kilojoule_per_mole / unit.kelvin)


class Exploded(Exception):
    """The energy is not finite, or the system far too hot."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Positions (n, 3) in nm, each molecule whole and its centre in the box, and box (3, 3) in nm."""

    positions_nm: np.ndarray
    box_nm: np.ndarray


class Engine:
    """A Context for one run. Steps are counted outside; this only takes them.

    Args:
        flexible: the System of ``system.xml``.
        beginning: where in the run this engine begins, which its random numbers depend on.
    """

    def __init__(self, flexible: openmm.System, spec: RunSpec, options: PlatformOptions, beginning: str) -> None:
        self._spec = spec
        # A process that goes on must not use the random numbers of the one before it again. (OpenMM's checkpoint
        # holds the thermostat's, but not the barostat's.)
        self.system = mechanics.prepare(flexible, spec, derived_seed(spec.seeds.barostat, beginning))
        self._n_dof = mechanics.degrees_of_freedom(self.system)
        self._mass_amu = float(mechanics.masses_amu(self.system).sum())
        self.cutoff_A = mechanics.cutoff_A(self.system)
        seed = derived_seed(spec.seeds.thermostat, beginning)

        def make_integrator() -> openmm.Integrator:
            integrator = openmm.LangevinMiddleIntegrator(spec.temperature_K, spec.friction_per_ps, spec.step_as * 1e-6)
            integrator.setRandomNumberSeed(seed)
            return integrator

        self._context, self._integrator, self.report = create_context(self.system, make_integrator, options)

    # ---- beginning

    def set_positions(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> None:
        self._context.setPeriodicBoxVectors(*box_nm)
        self._context.setPositions(positions_nm)

    def minimise(self, iterations: int) -> float:
        """Descend for at most so many iterations; returns the potential energy reached, kJ/mol."""
        if self.report.on_processor:
            # OpenMM 8.6's minimiser crashes on PoCL's processors, its dynamics do not.
            self._minimise_elsewhere(iterations)
        else:
            openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=iterations)
        return self._context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)

    def _minimise_elsewhere(self, iterations: int) -> None:
        here = self._context.getState(positions=True)
        context, _, _ = create_context(self.system, lambda: openmm.VerletIntegrator(0.001), PlatformOptions(name="CPU"))
        context.setState(here)
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=iterations)
        self._context.setPositions(context.getState(positions=True).getPositions(asNumpy=True))

    def warm(self) -> None:
        """Velocities of the run's temperature."""
        self._context.applyConstraints(1e-6)
        self._context.setVelocitiesToTemperature(self._spec.temperature_K, self._spec.seeds.velocities)

    # ---- running

    def set_pace(self, step_as: int, divisor: int = 1, friction_per_ps: float | None = None) -> None:
        """Time step, how many smaller steps it is made of, and friction."""
        self._divisor = divisor
        self._integrator.setStepSize(step_as * 1e-6 / divisor)
        self._integrator.setFriction(friction_per_ps or self._spec.friction_per_ps)

    def set_temperature(self, temperature_K: float) -> None:
        """Of thermostat and barostat."""
        self._integrator.setTemperature(temperature_K)
        self._context.setParameter(openmm.MonteCarloBarostat.Temperature(), temperature_K)

    def step(self, n: int) -> None:
        """Take ``n`` time steps. Raises Exploded, or LmbmdError if the box has become too small."""
        with self._translated():
            self._integrator.step(n * self._divisor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What OpenMM says about a system gone wrong, as our errors."""
        try:
            yield
        except openmm.OpenMMException as error:
            text = str(error).lower()
            if "less than twice the nonbonded cutoff" in text:
                width_A = Cell.from_nm(_box(self._context.getState())).narrowest_A
                raise mechanics.box_too_small(width_A, self.cutoff_A, "simulate") from error
            if "nan" in text or "infinite" in text:
                raise Exploded(str(error).split(".")[0]) from error
            raise

    # ---- measuring

    def measure(self, step: int, time_ps: float) -> Row:
        """A row of the state log. Raises Exploded if the energy is no number or the system far too hot."""
        with self._translated():
            state = self._context.getState(energy=True)
        potential, kinetic = (
            e.value_in_unit(unit.kilojoule_per_mole) for e in (state.getPotentialEnergy(), state.getKineticEnergy())
        )
        volume = state.getPeriodicBoxVolume().value_in_unit(unit.angstrom**3)
        temperature = 2 * kinetic / (_GAS_KJ_MOL_K * self._n_dof)
        if not np.isfinite(potential + kinetic):
            raise Exploded(f"potential energy {potential:g}, kinetic energy {kinetic:g} kJ/mol")
        thermostat = self._integrator.getTemperature().value_in_unit(unit.kelvin)
        if temperature > HOT * thermostat:
            raise Exploded(f"temperature {temperature:.0f} K under a thermostat of {thermostat:.0f} K")
        return Row(step, time_ps, _DENSITY * self._mass_amu / volume, volume, potential, kinetic, temperature)

    def snapshot(self) -> Snapshot:
        """Where everything is. Raises Exploded if a position is no number."""
        state = self._context.getState(positions=True, enforcePeriodicBox=True)
        positions = state.getPositions(asNumpy=True)._value
        if not np.isfinite(positions).all():
            raise Exploded("a position is no number")
        return Snapshot(positions, _box(state))

    def hottest(self, n: int = 3) -> list[tuple[int, float]]:
        """The ``n`` atoms of highest kinetic temperature m v² / 3 k_B, with it in K; not-a-number comes first."""
        state = self._context.getState(velocities=True)
        velocities = state.getVelocities(asNumpy=True)._value
        kelvin = mechanics.masses_amu(self.system) * (velocities**2).sum(1) / (3 * _GAS_KJ_MOL_K)
        order = np.argsort(-np.where(np.isfinite(kelvin), kelvin, np.inf), kind="stable")[:n]
        return [(int(i), float(kelvin[i])) for i in order]

    # ---- saving and restoring

    def save(self, header: dict) -> Checkpoint:
        """A checkpoint of this moment. Raises Exploded rather than save one that is no good."""
        self.measure(0, 0.0)
        state = self._context.getState(positions=True, velocities=True)
        positions, velocities = state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
            raise Exploded("a position or velocity is no number")
        return Checkpoint(header, positions, velocities, _box(state), self._context.createCheckpoint())

    def restore(self, checkpoint: Checkpoint) -> str:
        """Go back to a checkpoint. Returns "binary" if OpenMM's own fitted, else "portable"."""
        if checkpoint.header["engine"] == self.report.identity:
            try:
                self._context.loadCheckpoint(checkpoint.binary)
                return "binary"
            except openmm.OpenMMException:
                pass
        self.set_positions(checkpoint.positions_nm, checkpoint.box_nm)
        self._context.setVelocities(checkpoint.velocities_nm_ps)
        return "portable"


def _box(state: openmm.State) -> np.ndarray:
    return state.getPeriodicBoxVectors(asNumpy=True)._value
