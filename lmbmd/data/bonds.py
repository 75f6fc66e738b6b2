"""How a molecule is put together again after a periodic boundary has cut it: along its bonds."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)
def parents(n_atoms: int, bonds: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """For each atom of a molecule the earlier one that it is placed beside, so that one pass puts it together.

    That is the earlier atom fewest bonds away, of several the first; so no step is longer than a few bonds however
    the file orders its atoms. An atom that no bonds join to an earlier one gets the atom before it.

    Args:
        n_atoms: atoms, numbered from 0.
        bonds: pairs of atoms.

    Returns:
        One atom for each, always an earlier one; the first is its own.
    """
    joined: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds:
        joined[i].append(j)
        joined[j].append(i)
    return tuple(_nearest_earlier(i, joined) for i in range(n_atoms))


def _nearest_earlier(atom: int, joined: list[list[int]]) -> int:
    seen, ring = {atom}, [atom]
    while ring:
        ring = sorted({j for i in ring for j in joined[i]} - seen)
        if ring and ring[0] < atom:
            return ring[0]
        seen.update(ring)
    return max(atom - 1, 0)
