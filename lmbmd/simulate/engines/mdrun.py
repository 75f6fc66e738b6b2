"""The running simulation in GROMACS: ``gmx mdrun`` in legs from checkpoint to checkpoint, read while it computes.

``mdrun`` runs ahead. What it writes is taken step by step, so that rows and frames come as they do from OpenMM. Where
a checkpoint is due, it is asked to stop; when all it wrote is taken, the state at which it stopped is saved, with its
own checkpoint, and the next leg goes on from that, to the bit. The minimisation and the first velocities are OpenMM's.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import time
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from lmbmd.box.formats.gromacs import topology
from lmbmd.box.read import Box, box_of, edges_nm
from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import derived_seed
from lmbmd.core.units import ANGSTROM_PER_NM, GAS_CONSTANT_KJ_MOL_K
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.simulate.checkpoint import CHECKPOINT_SHARE, Checkpoint, cannot_write, write
from lmbmd.simulate.engines import gmx, mechanics
from lmbmd.simulate.engines import openmm as with_openmm
from lmbmd.simulate.engines.gmxfiles import EnergyFile, EnergyFrame, FrameFile, State, states
from lmbmd.simulate.engines.gromacs import with_masses
from lmbmd.simulate.engines.mdp import Stretch, compare_energies, gro, settings
from lmbmd.simulate.engines.mechanics import DENSITY, HOT, Exploded, Snapshot
from lmbmd.simulate.engines.platform import cores, instructions, processor_name
from lmbmd.simulate.logs import Row
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import RunSpec

#: Rows of a stage that writes none, in steps: often enough to see an explosion.
WATCH_STEPS = 100
#: Seconds to wait for more of what mdrun writes before looking at signals and clock, and between looks at its files.
PATIENCE_S, POLL_S = 0.5, 0.03
#: A leg ends by itself after so many checkpoint intervals, and not before so many seconds.
_INTERVALS, _LEAST_S = 3, 600
#: Steps between lists of pairs where a time step is divided: a multiple of every divisor, as mdrun stops at a list.
_LIST = 40
#: Elements of the pressure tensor in the order of the log.
_TENSOR = ("XX", "YY", "ZZ", "XY", "XZ", "YZ")
#: Of velocities in a replay of what led to an explosion.
_MOST_REPLAYED_BYTES = 2e8


def described(
    flexible: openmm.System, atoms: AtomTable, start_A: tuple[np.ndarray, np.ndarray], spec: RunSpec, system_file: Path
) -> Box:
    """A box for the ``Engine``: as ``lmbmd export`` reads it, from the files that a run is made of.

    Args:
        start_A: positions (n, 3) and box (3, 3).
        system_file: where the System lies, for messages.

    Raises:
        LmbmdError: if these do not belong together, or GROMACS cannot express the System.
    """
    # A copy: reading it gives σ and ε of geometric mixing their values back.
    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(flexible))
    conditions = (spec.temperature_K, spec.pressure_bar)
    box = box_of(copy, atoms, *start_A, conditions, {"system": system_file})
    edges_nm(box)  # refuses what is not rectangular
    return box


@dataclass(frozen=True)
class Report:
    """The GROMACS in use, in the shape of a ``PlatformReport``."""

    version: str
    precision: str
    simd: str
    threads: int
    name: str = "GROMACS"

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for GROMACS' own checkpoint to fit."""
        return {"name": self.name, "version": self.version, "precision": self.precision}

    @property
    def properties(self) -> dict[str, str]:
        found = {"Version": self.version, "Precision": self.precision, "SIMD": self.simd, "Threads": str(self.threads)}
        return {**found, "DeviceName": ""}

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "properties": self.properties, "refused": {}}

    def sentence(self) -> str:
        """One line for the log."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        built = f"{self.precision} precision, {self.simd}, {threads} of {processor_name()}"
        return f"GROMACS {self.version} ({built}){gmx.built_for_less(self.simd, instructions())}"


class Engine:
    """One run in GROMACS, with the methods of ``lmbmd.simulate.engines.openmm.Engine``.

    Args:
        flexible: the System of ``system.xml``.
        box: the same with its start, for GROMACS' topology.
        beginning: where in the run this engine begins, which its random numbers depend on.
        work: the run's folder; GROMACS' files are in ``gromacs`` there, which is emptied.
    """

    def __init__(
        self, flexible: openmm.System, box: Box, spec: RunSpec, options: PlatformOptions, beginning: str, work: Path
    ) -> None:
        found = gmx.gromacs()
        self._spec, self._options, self._beginning, self._flexible = spec, options, beginning, flexible
        self.system = mechanics.prepare(flexible, spec, 1)
        self._n_dof = mechanics.degrees_of_freedom(self.system)
        masses = mechanics.masses_amu(self.system)
        self._mass_amu = float(masses.sum())
        self.cutoff_A = mechanics.cutoff_A(self.system)
        threads = options.threads or cores()
        self.report = Report(found.version, found.precision, found.simd, threads)
        self._box = with_masses(box, masses.tolist())
        self._whole = _Whole(box.atoms)
        self._folder = work / "gromacs"
        shutil.rmtree(self._folder, ignore_errors=True)
        _make(self._folder)
        write(self._folder / "topol.top", topology(self._box))

        self._starter: with_openmm.Engine | None = None
        self._x, self._v, self._cell = np.zeros((0, 3)), np.zeros((0, 3)), np.eye(3)
        #: Where the run is, and the step of the last state that is known in full. mdrun itself is ahead of both.
        self._at = self._landed = 0
        self._pace: tuple[int, int, float | None] = (spec.step_as, 1, spec.friction_per_ps)
        self._thermostat_K = spec.temperature_K
        self._asked: _Asked | None = None
        self._stretch: Stretch | None = None  # of run.tpr
        self._cpt: Path | None = None  # to go on from within the stretch
        self._leg: gmx.Leg | None = None
        self._written: _Written | None = None
        self._legs = 0
        #: What the last leg took beside its steps, s: to start, to end, to be read. Each checkpoint costs one more leg.
        self.overhead_s, self._begun_s = 0.0, 0.0
        self._is_compared = False

    # ---- beginning

    def set_positions(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> None:
        self._x, self._cell = np.array(positions_nm, dtype=float), np.array(box_nm, dtype=float)
        self._v = np.zeros_like(self._x)
        on_cpu = PlatformOptions(name="CPU", threads=self._options.threads)
        # Whatever it will move by: OpenMM has not every thermostat, and none is needed here.
        spec = self._spec.model_copy(update={"dynamics": None})
        self._starter = with_openmm.Engine(self._flexible, spec, on_cpu, self._beginning)
        self._starter.set_positions(self._x, self._cell)

    def minimise(self, iterations: int) -> float:
        """As with OpenMM, on its CPU platform."""
        assert self._starter
        return self._starter.minimise(iterations)

    def warm(self) -> None:
        """Velocities of the run's temperature, then a comparison of the energies of this start."""
        assert self._starter
        self._starter.warm()
        begun = self._starter.save({})
        self._x, self._v, self._cell = begun.positions_nm, begun.velocities_nm_ps, begun.box_nm
        self._starter = None
        self._compare()

    def _compare(self) -> None:
        if not self._is_compared:
            compare_energies(self._flexible, self._box_now(), self._x, self._cell, self._folder)
            self._is_compared = True

    # ---- running

    def set_pace(self, step_as: int, divisor: int = 1, friction_per_ps: float | None = None) -> None:
        """Time step, how many smaller steps it is made of, and friction; holds from the next leg on."""
        friction = self._spec.friction_per_ps if friction_per_ps is None else friction_per_ps
        self._pace = (step_as, divisor, friction or None)
        if self._leg and not self._fits():
            self._leg.stop()

    def set_temperature(self, temperature_K: float) -> None:
        """Of the thermostat at the step that is walked to. What GROMACS runs at, ``look_ahead`` says."""
        self._thermostat_K = temperature_K

    def look_ahead(
        self, step: int, until: int, *, temperatures_K: tuple[float, float], rows: int = 0, frames: int = 0
    ) -> None:
        """The stage is at ``step`` and goes on at least until that one, with a ramp of the temperature on the way.

        Args:
            temperatures_K: at ``step`` and at ``until``.
            rows, frames: steps between rows and between frames that will be asked for; 0: none.
        """
        if self._asked and self._asked.until == until and self._at == step:
            return
        self._wait_for_end()
        self._at = self._landed = step
        self._asked = _Asked(step, until, temperatures_K, rows or WATCH_STEPS, frames)

    def step(self, n: int) -> int:
        """Take at most ``n`` steps; returns how many there were after at most half a second. Raises Exploded."""
        assert self._asked
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self._leg is None and self._landed == self._at:
                self._start()
            taken = max(0, min(n, self._asked.until - self._at, self._look() - self._at))
            if taken or time.monotonic() > deadline:
                self._at += taken
                return taken
            time.sleep(POLL_S)

    def land(self) -> bool:
        """Whether the state can be saved here. If not, mdrun is asked to stop: it will be some steps further on."""
        if self._leg:
            self._leg.stop()
        return self._leg is None and self._landed == self._at

    def _fits(self) -> bool:
        """Whether what is asked for is what ``run.tpr`` does."""
        asked, made = self._asked, self._stretch
        if asked is None or made is None or not made.begin <= self._at <= made.end == asked.until:
            return False
        same = (made.rows, made.frames, made.temperatures_K[1]) == (asked.rows, asked.frames, asked.temperatures_K[1])
        return same and (made.step_as, made.divisor, made.friction_per_ps) == self._pace

    def _start(self) -> None:
        """The next leg, from where the last one landed."""
        if not self._fits():
            self._begin_stretch()
        assert self._stretch
        self._begun_s = time.monotonic()
        self._legs += 1
        folder = self._folder / f"leg{self._legs}"
        _make(folder)
        interval_s = max(self._options.checkpoint_interval_s, self.overhead_s / CHECKPOINT_SHARE)
        hours = max(_LEAST_S, _INTERVALS * interval_s) / 3600
        tpr, cpt = (self._folder / "run.tpr").resolve(), self._cpt and self._cpt.resolve()
        listed = _LIST if self._stretch.divisor > 1 else 0
        self._leg = gmx.Leg(folder, tpr, cpt, self.report.threads, hours, listed=listed)
        self._written = _Written(self._leg, len(self._x), self._stretch.divisor, self._spec.pressure_steps or 1)

    def write_input(self) -> Path:
        """``run.tpr`` of what is asked for next, from here."""
        self._begin_stretch()
        return self._folder / "run.tpr"

    def _begin_stretch(self) -> None:
        assert self._asked
        asked, (step_as, divisor, friction) = self._asked, self._pace
        ends = [asked.step, asked.until], list(asked.temperatures_K)
        now_K = float(np.interp(self._at, *ends)) if asked.step < asked.until else asked.temperatures_K[1]
        self._stretch = Stretch(
            self._at,
            asked.until,
            step_as,
            divisor,
            friction,
            (now_K, asked.temperatures_K[1]),
            asked.rows,
            asked.frames,
        )
        seed = derived_seed(self._spec.seeds.thermostat, self._beginning, self._legs, self._at, divisor)
        self._write_tpr(settings(self._spec, self._stretch, self._box_now(), seed))
        self._cpt = None

    def _write_tpr(self, text: str) -> None:
        write(self._folder / "run.mdp", text)
        write(self._folder / "run.gro", gro(self._box, self._x, self._v, self._cell))
        try:
            gmx.grompp(self._folder, "run.mdp", "run.gro", "run.tpr")
        except gmx.TooNarrow as error:
            raise self._too_narrow() from error

    def _box_now(self) -> Box:
        return replace(self._box, box_A=self._cell * ANGSTROM_PER_NM)

    def _look(self) -> int:
        """Take what is new of mdrun's files; the last step that is known to be over."""
        leg, written = self._leg, self._written
        if leg is None or written is None:
            return self._landed
        try:
            ended = leg.ended()  # before the files are read: they are whole then
            seen = written.look()
            if ended:
                self._land(written)
                return self._landed
        except gmx.Unstable as error:
            raise self._exploded(str(error)) from error
        except gmx.TooNarrow as error:
            raise self._too_narrow() from error
        return max(seen, self._at)

    def _land(self, written: _Written) -> None:
        """mdrun has ended: take its last state and its own checkpoint of it."""
        stepping_s, self._leg = self._leg.stepping_s() if self._leg else None, None
        state = written.state()
        if state is None:
            raise self._exploded("mdrun left no last state")
        self._x, self._v = self._whole(state.positions_nm, state.box_nm), state.velocities_nm_ps
        self._cell, self._landed = state.box_nm, state.step // written.divisor
        self._cpt = written.folder / "leg.cpt"
        for folder in self._folder.glob("leg*"):
            if folder != written.folder:
                shutil.rmtree(folder, ignore_errors=True)
        spent_s = time.monotonic() - self._begun_s
        self.overhead_s = 0.0 if stepping_s is None else max(0.0, spent_s - stepping_s)

    def _wait_for_end(self) -> None:
        """Until mdrun, which has done all that it was told to, has ended."""
        while self._leg:
            assert self._stretch and self._at == self._stretch.end, "GROMACS is asked for something else while it runs"
            self._look()
            time.sleep(POLL_S)

    def _exploded(self, why: str) -> Exploded:
        self._drop()
        return Exploded(why)

    def _too_narrow(self) -> LmbmdError:
        self._drop()
        return mechanics.box_too_small(Cell.from_nm(self._cell).narrowest_A, self.cutoff_A, "simulate")

    def _drop(self) -> None:
        """End what runs; nothing of it is wanted."""
        if self._leg:
            self._leg.kill()
        self._leg = self._written = self._stretch = self._cpt = self._asked = None

    def close(self) -> None:
        """End what runs, and leave nothing of it."""
        self._drop()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- measuring

    def measure(self, step: int, time_ps: float) -> Row:
        """A row of the state log. Raises Exploded if the energy is no number or the system far too hot."""
        assert self._written
        terms = self._written.row(self._at)
        potential, kinetic = terms["Potential"], terms["Kinetic En."]
        volume = 1000 * (terms["Volume"] if "Volume" in terms else float(np.linalg.det(self._cell)))
        if not np.isfinite(potential + kinetic):
            raise self._exploded(f"potential energy {potential:g}, kinetic energy {kinetic:g} kJ/mol")
        temperature = self._checked_K(kinetic)
        return Row(step, time_ps, DENSITY * self._mass_amu / volume, volume, potential, kinetic, temperature)

    def _checked_K(self, kinetic_kJ_mol: float) -> float:
        temperature = 2 * kinetic_kJ_mol / (GAS_CONSTANT_KJ_MOL_K * self._n_dof)
        if not temperature <= HOT * self._thermostat_K:
            raise self._exploded(f"temperature {temperature:.0f} K under a thermostat of {self._thermostat_K:.0f} K")
        return temperature

    def pressure_bar(self) -> tuple[float, ...]:
        """The pressure tensor (xx, yy, zz, xy, xz, yz) of atoms, compression positive, with its kinetic part.

        The mean since the row before, of tensors each ``mdp.TENSOR_PS``: at one instant the vibration of bonds is most
        of it, and looks slow wherever its frequency is near a multiple of that of the rows. The integral of the
        autocorrelation is the same.

        Raises:
            Exploded: if an element is no number.
        """
        assert self._written
        mean = self._written.mean(self._at)
        found = tuple(0.5 * (mean[f"Pres-{a}{b}"] + mean[f"Pres-{b}{a}"]) for a, b in map(tuple, _TENSOR))
        if not np.isfinite(found).all():
            raise self._exploded("the pressure is no number")
        return found

    def snapshot(self) -> Snapshot:
        """Where everything is. Raises Exploded if a position is no number."""
        if self._leg is None and self._landed == self._at:
            positions, box = self._x, self._cell
        else:
            assert self._written
            positions, box = self._written.frame(self._at)
            positions = self._whole(positions, box)
        if not np.isfinite(positions).all():
            raise self._exploded("a position is no number")
        return Snapshot(self._whole.in_box(positions, box), box)

    def culprits(self, steps: int, limit_K: float, n: int = 3) -> list[tuple[int, float]]:
        """The ``n`` hottest atoms, with their kinetic temperatures m v² / 3 k_B in K, shortly before an explosion.

        The next steps are taken again until an atom is hotter than ``limit_K`` or nothing is finite.
        """
        hottest = self._hottest(self._v, n)
        step_as, divisor, friction = self._pace
        every = math.ceil(steps * divisor * 24 * len(self._x) / _MOST_REPLAYED_BYTES)
        temperatures = (self._spec.temperature_K,) * 2
        stretch = Stretch(0, steps, step_as, divisor, friction, temperatures, WATCH_STEPS, 0)
        seed = derived_seed(self._spec.seeds.thermostat, self._beginning, "culprits")
        text = settings(self._spec, stretch, self._box_now(), seed)
        self._write_tpr(f"{text}nstxout = {every}\nnstvout = {every}\n")
        folder = self._folder / "culprits"
        _make(folder)
        leg = gmx.Leg(folder, (self._folder / "run.tpr").resolve(), None, self.report.threads, 1.0)
        with suppress(gmx.Unstable, gmx.TooNarrow, LmbmdError):
            while not leg.ended():
                time.sleep(POLL_S)
        path = leg.file("trr")
        for state in states(path) if path else ():
            found = self._hottest(state.velocities_nm_ps, n)
            if not all(np.isfinite(kelvin) for _, kelvin in found):
                break
            hottest = found
            if max(kelvin for _, kelvin in found) > limit_K:
                break  # before the heat has spread to the neighbours
        return hottest

    def _hottest(self, velocities_nm_ps: np.ndarray, n: int) -> list[tuple[int, float]]:
        return mechanics.hottest(mechanics.masses_amu(self.system), velocities_nm_ps, n)

    # ---- saving and restoring

    def save(self, header: dict) -> Checkpoint:
        """A checkpoint of this moment. Raises Exploded rather than save one that is no good."""
        self._wait_for_end()
        assert self._landed == self._at, "the state is known elsewhere"
        if not (np.isfinite(self._x).all() and np.isfinite(self._v).all()):
            raise self._exploded("a position or velocity is no number")
        self._checked_K(0.5 * float(mechanics.masses_amu(self.system) @ (self._v**2).sum(1)))
        return Checkpoint(header, self._x, self._v, self._cell, self._pack())

    def _pack(self) -> bytes:
        """GROMACS' own: its input and its checkpoint; nothing where the state is not of the stretch."""
        if not (self._stretch and self._cpt and self._cpt.is_file()):
            return b""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("stretch.json", json.dumps(asdict(self._stretch)))
            archive.write(self._folder / "run.tpr", "run.tpr")
            archive.write(self._cpt, "leg.cpt")
        return packed.getvalue()

    def restore(self, checkpoint: Checkpoint) -> str:
        """Go back to a checkpoint. Returns "binary" if GROMACS' own fitted, else "portable"."""
        self._drop()
        self._x, self._v = self._whole(checkpoint.positions_nm, checkpoint.box_nm), checkpoint.velocities_nm_ps
        self._cell = checkpoint.box_nm
        # All of the state is known here. Of which step it is, look_ahead tells; at the end of a stage nobody does.
        self._at = self._landed = 0
        if checkpoint.header["engine"] == self.report.identity and checkpoint.binary:
            self._is_compared = True
            with zipfile.ZipFile(io.BytesIO(checkpoint.binary)) as archive:
                values = json.loads(archive.read("stretch.json"))
                for name, place in (("run.tpr", "run.tpr"), ("leg.cpt", "restored.cpt")):
                    write(self._folder / place, archive.read(name))
            self._stretch = Stretch(**{**values, "temperatures_K": tuple(values["temperatures_K"])})
            self._cpt = self._folder / "restored.cpt"
            return "binary"
        self._compare()
        return "portable"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


@dataclass(frozen=True)
class _Asked:
    """What ``look_ahead`` was told."""

    step: int
    until: int
    temperatures_K: tuple[float, float]
    rows: int
    frames: int


class _Written:
    """What one leg has written so far. Steps are those of the stage: GROMACS' divided by the divisor.

    Energies are remembered for some steps, those between two rows of the pressure.
    """

    def __init__(self, leg: gmx.Leg, n_atoms: int, divisor: int, remembered: int) -> None:
        self.folder, self.divisor = leg.folder, divisor
        self._remembered = remembered
        self._leg, self._n_atoms = leg, n_atoms
        self._energies: EnergyFile | None = None
        self._frames: FrameFile | None = None
        self._rows: dict[int, EnergyFrame] = {}
        self._seen = -1

    def look(self) -> int:
        """Read the energies that are new; the last step of which there are some."""
        if self._energies is None and (path := self._leg.file("edr")):
            self._energies = EnergyFile(path)
        for row in self._energies.new() if self._energies else ():
            self._rows[row.step] = row
            self._seen = row.step // self.divisor
        return self._seen

    def row(self, step: int) -> dict[str, float]:
        """Energies at a step."""
        self._forget_before(step)
        return self._rows[step * self.divisor].terms

    def mean(self, step: int) -> dict[str, float]:
        """Energies on average over the steps that are remembered, up to this one, as far as they are in this leg."""
        self._forget_before(step)
        frames = [frame for number, frame in self._rows.items() if number <= step * self.divisor]
        # What was computed once is not summed.
        sums = [(frame.n_summed, frame.sums) if frame.sums else (1, frame.terms) for frame in frames]
        computed = sum(n for n, _ in sums)
        return {term: sum(of[term] for _, of in sums) / computed for term in frames[-1].terms}

    def _forget_before(self, step: int) -> None:
        last = (step - self._remembered) * self.divisor
        self._rows = {number: frame for number, frame in self._rows.items() if number > last}

    def frame(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and box at a step, in nm."""
        if self._frames is None:
            path = self._leg.file("xtc")
            assert path
            self._frames = FrameFile(path, self._n_atoms, self.folder / "frame.xtc")
        found = self._frames.at(step * self.divisor)
        assert found, f"GROMACS wrote no frame at step {step}"
        return found

    def state(self) -> State | None:
        """The last one, of GROMACS' own checkpoint; None if there is none, or it lies between two steps."""
        if not (self.folder / "leg.cpt").is_file():
            return None
        gmx.call(self.folder, ["trjconv", "-f", "leg.cpt", "-o", "last.trr"])
        found = next(states(self.folder / "last.trr"), None)
        return None if found is None or found.step % self.divisor else found


class _Whole:
    """Makes molecules whole, and puts their centres into the box, as OpenMM does."""

    def __init__(self, atoms: AtomTable) -> None:
        parent, index = atoms.parent, np.arange(len(atoms))
        depth = np.zeros(len(atoms), dtype=int)
        for atom in index[parent != index].tolist():
            depth[atom] = depth[parent[atom]] + 1
        self._levels = [np.flatnonzero(depth == level) for level in range(1, int(depth.max()) + 1)]
        self._parent, self._molecule = parent, atoms.molecule
        self._first, self._sizes = atoms.first_atom[:-1], np.diff(atoms.first_atom)[:, None]

    def __call__(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> np.ndarray:
        """A copy in which every atom is the image nearest to the one that it is placed beside; box rectangular."""
        edges, whole = np.diag(box_nm), np.array(positions_nm, dtype=float)
        for atoms in self._levels:
            step = whole[atoms] - whole[self._parent[atoms]]
            whole[atoms] -= edges * np.round(step / edges)
        return whole

    def in_box(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> np.ndarray:
        """Whole molecules moved by edges of the box so that their centres are in it."""
        edges = np.diag(box_nm)
        centres = np.add.reduceat(positions_nm, self._first, axis=0) / self._sizes
        return positions_nm - (edges * np.floor(centres / edges))[self._molecule]
