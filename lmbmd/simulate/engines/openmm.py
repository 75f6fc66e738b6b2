"""The running simulation: an OpenMM Context with its integrator, stepped, measured, saved and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import derived_seed
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.data.cell import Cell
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.engines.mechanics import DENSITY, HOT, Exploded, Snapshot
from lmbmd.simulate.engines.platform import create_context
from lmbmd.simulate.logs import Row
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Dynamics, RunSpec

#: Relative error of constrained lengths in a segment: a tenth of OpenMM's own, for without friction heat stays where
#: constraints that are loosely kept have left it.
CONSTRAINT_TOLERANCE = 1e-6
#: kJ/mol/nm³ in bar (CODATA 2018: 10³ J / N_A / 10⁻²⁷ m³).
_BAR = 16.6053906717
#: Elements of the pressure tensor, in the order in which OpenMM and the log have them.
_TENSOR = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class Engine:
    """A Context for one run. Steps are counted outside; this only takes them.

    A segment has two integrators: Langevin's, until it has settled, then Nosé and Hoover's chain or leapfrog alone
    (``set_pace`` with no friction). OpenMM's own checkpoint holds the chain; where only the portable one fits, the
    chain begins at rest again.

    Args:
        flexible: the System of ``system.xml``.
        beginning: where in the run this engine begins, which its random numbers depend on.
    """

    #: What a checkpoint costs when steps are taken again, s.
    overhead_s = 0.0

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
            if spec.dynamics is None:
                return integrator
            both = openmm.CompoundIntegrator()
            both.addIntegrator(integrator)
            both.addIntegrator(_frictionless(spec, spec.dynamics))
            both.setConstraintTolerance(CONSTRAINT_TOLERANCE)
            return both

        self._context, self._integrator, self.report = create_context(self.system, make_integrator, options)
        self._langevin, self._free = self._integrator, None
        if spec.dynamics is not None:
            self._langevin, self._free = self._integrator.getIntegrator(0), self._integrator.getIntegrator(1)
        self._probe = mechanics.pressure_probe(self.system)
        self._molecules = mechanics.Molecules.of(self._context)

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
        """Time step, how many smaller steps it is made of, and friction: by default the spec's; 0 in a segment's
        production."""
        self._divisor = divisor
        friction_per_ps = self._spec.friction_per_ps if friction_per_ps is None else friction_per_ps
        if self._free is not None:
            self._integrator.setCurrentIntegrator(int(friction_per_ps == 0))
        if self._free is not None and friction_per_ps == 0:
            self._free.setStepSize(step_as * 1e-6 / divisor)
        else:
            self._langevin.setStepSize(step_as * 1e-6 / divisor)
            self._langevin.setFriction(friction_per_ps)

    def set_temperature(self, temperature_K: float) -> None:
        """Of thermostat and barostat."""
        self._langevin.setTemperature(temperature_K)
        if self._free is None:
            self._context.setParameter(openmm.MonteCarloBarostat.Temperature(), temperature_K)
        elif isinstance(self._free, openmm.NoseHooverIntegrator):
            self._free.setTemperature(temperature_K)

    def look_ahead(
        self, step: int, until: int, *, temperatures_K: tuple[float, float], rows: int = 0, frames: int = 0
    ) -> None:
        """What the stage will ask for; this engine does not compute ahead of what is asked."""

    def step(self, n: int) -> int:
        """Take ``n`` time steps; returns how many were taken. Raises Exploded, or LmbmdError for too small a box."""
        with self._translated():
            self._integrator.step(n * self._divisor)
        return n

    def land(self) -> bool:
        """Whether the state can be saved here: after every step."""
        return True

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
        temperature = 2 * kinetic / (GAS_CONSTANT_KJ_MOL_K * self._n_dof)
        if not np.isfinite(potential + kinetic):
            raise Exploded(f"potential energy {potential:g}, kinetic energy {kinetic:g} kJ/mol")
        thermostat = self._langevin.getTemperature().value_in_unit(unit.kelvin)
        if temperature > HOT * thermostat:
            raise Exploded(f"temperature {temperature:.0f} K under a thermostat of {thermostat:.0f} K")
        return Row(step, time_ps, DENSITY * self._mass_amu / volume, volume, potential, kinetic, temperature)

    def pressure_bar(self) -> tuple[float, ...]:
        """The pressure tensor (xx, yy, zz, xy, xz, yz), compression positive, with its kinetic part.

        Of molecules as rigid bodies: Σ (P_i Ġ_j + F_i G_j) / V over molecules with momentum P, force F and centre G.
        It is the rate of change of Σ P_i G_j, so its mean and its viscosity are those of the tensor of atoms. OpenMM
        has the second part from differences of the energy under strain, which take about as long as fifteen steps; its
        G is the plain mean of a molecule's atoms, and its own kinetic part is of mass centres and does not go with it
        (``tests/simulate/test_segments.py``). The velocities are those half a step before, as leapfrog has them.

        Raises:
            Exploded: if an element is no number.
        """
        assert self._probe is not None
        with self._translated():
            tension = self._probe.computeStressTensor(self._context, False)
        state = self._context.getState(velocities=True)
        momenta, drifts = self._molecules.motion(state.getVelocities(asNumpy=True)._value)
        volume_nm3 = state.getPeriodicBoxVolume()._value
        found = tuple(
            float(_BAR * (momenta[:, i] @ drifts[:, j]) / volume_nm3 - element.value_in_unit(unit.bar))
            for (i, j), element in zip(_TENSOR, tension, strict=True)
        )
        if not np.isfinite(found).all():
            raise Exploded("the pressure is no number")
        return found

    def snapshot(self) -> Snapshot:
        """Where everything is. Raises Exploded if a position is no number."""
        state = self._context.getState(positions=True, enforcePeriodicBox=True)
        positions = state.getPositions(asNumpy=True)._value
        if not np.isfinite(positions).all():
            raise Exploded("a position is no number")
        return Snapshot(positions, _box(state))

    def hottest(self, n: int = 3) -> list[tuple[int, float]]:
        """The ``n`` atoms of highest kinetic temperature m v² / 3 k_B, with it in K; not-a-number comes first."""
        velocities = self._context.getState(velocities=True).getVelocities(asNumpy=True)._value
        return mechanics.hottest(mechanics.masses_amu(self.system), velocities, n)

    def culprits(self, steps: int, limit_K: float) -> list[tuple[int, float]]:
        """The hottest atoms shortly before an explosion, with their kinetic temperatures in K.

        The next steps are taken again until an atom is hotter than ``limit_K`` or nothing is finite.
        """
        hottest = self.hottest()
        try:
            for _ in range(steps):
                self.step(1)
                found = self.hottest()
                if not all(np.isfinite(kelvin) for _, kelvin in found):
                    break
                hottest = found
                if max(kelvin for _, kelvin in found) > limit_K:
                    break  # before the heat has spread to the neighbours
                self.measure(0, 0.0)
        except Exploded:
            pass
        return hottest

    def close(self) -> None:
        """Nothing is left behind."""

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
        if self._free is not None:
            self._context.reinitialize()  # forgets the state of the thermostat's chain
        self.set_positions(checkpoint.positions_nm, checkpoint.box_nm)
        self._context.setVelocities(checkpoint.velocities_nm_ps)
        return "portable"


def _frictionless(spec: RunSpec, dynamics: Dynamics) -> openmm.Integrator:
    """What moves a segment once it has settled. Raises LmbmdError for a thermostat that OpenMM does not have."""
    if dynamics.thermostat is None:
        return openmm.VerletIntegrator(spec.step_as * 1e-6)
    if dynamics.thermostat != "nose-hoover" or dynamics.coupling_ps is None:
        raise LmbmdError(
            f"OpenMM has no thermostat '{dynamics.thermostat}'.",
            where="transport: thermostat",
            remedy="Choose 'nose-hoover', or an engine that has it.",
        )
    return openmm.NoseHooverIntegrator(spec.temperature_K, 2 * np.pi / dynamics.coupling_ps, spec.step_as * 1e-6)


def _box(state: openmm.State) -> np.ndarray:
    return state.getPeriodicBoxVectors(asNumpy=True)._value
