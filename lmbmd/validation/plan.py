"""What is validated, against what, and for how long: the numbers that the parts of the validation share."""

from __future__ import annotations

from pathlib import Path

import yaml

from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import force_fields_folder

#: Parameter sets, liquids and electrolytes, with the numbers they are compared with, their sources and their trust.
REFERENCE = yaml.safe_load((force_fields_folder() / "reference.yaml").read_text(encoding="utf-8"))
SETS = tuple(REFERENCE["sets"])
SET = SETS[0]
LIQUIDS = tuple(REFERENCE["liquids"])
#: Liquids whose transport was measured.
MOVING = tuple(n for n, facts in REFERENCE["liquids"].items() if {"self_diffusion", "viscosity"} & facts.keys())
ELECTROLYTES = tuple(REFERENCE["electrolytes"])
#: Of the bottles that are validated.
FORMULATIONS = force_fields_folder() / "electrolytes" / "formulations"
#: Where the runs lie, below the folder that a command is run in.
WORK = Path("work/validation")
ENGINES = ("openmm", "gromacs")

# ---- liquids
ATOMS, PRODUCTION_PS, VAPOUR_PS = 1000, 240.0, 1000.0
#: Of `--full`, for a GPU.
FULL_ATOMS, FULL_PRODUCTION_PS, FULL_VAPOUR_PS = 10000, 5000.0, 20000.0
EQUILIBRATION_PS, SAMPLE_PS, CHUNK_PS = 100.0, 0.4, 20.0
PRESSURE_BAR, FRICTION_PER_PS, BAROSTAT_PS = 1.0, 1.0, 0.1
HEAVY_HYDROGEN_AMU, LIGHT_HYDROGEN_AMU = 3.0, 1.008
PACKED_FRACTION = 0.8

# ---- the drift of the energy without a thermostat
NVE_LIQUIDS = ("DME", "TTE")
NVE_STEPS = ((4.0, True), (3.0, True), (2.0, True), (2.0, False), (1.0, False))
NVE_PS, NVE_SAMPLE_PS = 20.0, 0.1

# ---- transport
#: Time step (fs), and whether hydrogens are heavy: what lmbmd's own runs are compared with.
NATURAL = (2.0, False)


def heavy(species: str) -> tuple[float, bool]:
    """Like ``NATURAL``, of a liquid with heavy hydrogens: 4 fs, or the shorter step that its bonds need."""
    return float(REFERENCE["liquids"][species].get("timestep_fs", 4.0)), True


# ---- electrolytes
ELECTROLYTE_ATOMS, HOT_K, HOT_PS = 1500, 400.0, 100.0

# ---- units
G_CM3_PER_AMU_NM3 = 1.66053906660e-3
COULOMB_KJ_NM_MOL = 138.935457644  # e² / (4 π ε₀)


def place(work: Path, set_name: str) -> Path:
    """Folder, below ``work``, of the runs of all versions of a set: a run is known by the species it rests on."""
    return work / set_name.rpartition("-")[0]


def repository() -> Path:
    """The checkout that the force fields lie in.

    Raises:
        LmbmdError: if lmbmd is an installed package, whose files are not to be written to.
    """
    root = force_fields_folder().parent
    if not (root / "pyproject.toml").is_file():
        raise LmbmdError(
            "this lmbmd is installed, and its parameter sets and documentation are not changed.",
            where=str(root),
            remedy="Say where the results go with --out FOLDER, or work in a checkout of the repository.",
        )
    return root
