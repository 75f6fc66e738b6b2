"""How many molecules of a species a box must hold for numbers about it to mean something."""

from __future__ import annotations

#: As many molecules of a component or species as its statistics need; fewer are few, and numbers about fewer than
#: the second are not significant.
ENOUGH_MOLECULES = 10
SIGNIFICANT_MOLECULES = 5


def scarcity(name: str, n: int) -> str:
    """What ``n`` molecules of a component or species in the box mean for numbers about it; "" if they are enough."""
    if n >= ENOUGH_MOLECULES:
        return ""
    if n >= SIGNIFICANT_MOLECULES:
        return f"The box holds few {name}, only {n}: numbers about it have little statistics behind them."
    return f"The box holds only {n} {name}: numbers about it are not significant."
