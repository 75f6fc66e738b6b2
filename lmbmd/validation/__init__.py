"""What the parameter sets are worth: their liquids, electrolytes and pairs beside measurements and quantum chemistry.

``plan.py`` says what is validated and for how long. Each part runs by itself, goes on from where it was stopped, and
leaves its runs in a work folder. ``report.py`` turns them into rows (``results.py``) of ``validation.csv`` beside each
parameter set, and those into docs/validation.md. ``workflow/validation.smk`` drives all of it.
"""

#: The parts of `lmbmd validate`, each a module of this room with a ``main``, and what it does.
PARTS = {
    "liquids": "densities, enthalpies of vaporisation and permittivities of pure liquids",
    "time-step": "4 fs with heavy hydrogens against 2 fs and 1 fs",
    "transport": "self-diffusion and viscosity of pure liquids, in GROMACS",
    "electrolytes": "the first shell of Li+ in electrolytes, in GROMACS",
    "pairs": "Li+ and one molecule in vacuum, against quantum chemistry",
    "ion-shells": "a full first shell of each metal ion in vacuum",
    "geometries": "bonds and angles of every molecule against GFN2-xTB",
    "charge-models": "charges of sets against the potential that quantum chemistry has",
    "error-bars": "how often the error bars of means, and of motion, hold the truth",
    "refit": "Lennard-Jones terms and charges against measured liquids",
    "report": "collect what has run in validation.csv beside each set, and write docs/validation.md from it",
}
