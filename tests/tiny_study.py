"""A study of the smallest box that is allowed, about 1000 atoms, and of a run of some picoseconds."""

from __future__ import annotations

from pathlib import Path

BOTTLE = """
salts: {LiFSI: 1 mol/L of solution}
solvents: {DME: rest}
size: {ion_pairs: 7, tolerance: 0.2}
"""
PROTOCOL = """
protocol:
  equilibration_ns: 0.002
  max_equilibration_ns: 0.002
  production_ns: 0.006
  frame_interval_ps: 0.5
  state_interval_ps: 0.5
"""


def write_study(folder: Path, text: str, *bottles: str) -> None:
    """A study, not begun: its own file, which looks for its bottles in ``formulations``, and bottles of these names."""
    (folder / "config" / "formulations").mkdir(parents=True)
    (folder / "config" / "config.yaml").write_text(text, encoding="utf-8")
    for name in bottles:
        (folder / "config" / "formulations" / f"{name}.yaml").write_text(BOTTLE, encoding="utf-8")
