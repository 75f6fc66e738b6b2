"""The released parameter sets as parameters of tests; a molecule that two versions share is taken once."""

import pytest

from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets

SETS = [load_set(name) for name in available_sets()]
EVERY = [pytest.param(s, name, id=f"{s.folder.name}-{name}") for s in SETS for name in s.species]
_FIRST = {p.values[0].systems[p.values[1]]: p for p in EVERY[::-1]}
#: What has bonds, each System once: enough for tests that look at one molecule alone and take long.
MOLECULES = [
    p for p in EVERY if _FIRST[p.values[0].systems[p.values[1]]] is p and len(p.values[0].names(p.values[1])) > 1
]
