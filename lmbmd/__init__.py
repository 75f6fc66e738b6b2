"""lmbmd: how is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"""

__version__ = "0.1.0"
