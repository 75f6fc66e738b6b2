"""The version of each stage's method. Snakemake cannot see edits inside a package, so raising a
number here is how a changed method reruns that stage and what follows it, and nothing before it."""

from __future__ import annotations

COMPOSE = "compose/1"
BUILD = "build/1"
SIMULATE = "simulate/1"
CONTACTS = "contacts/4"
SCATTER = "scatter/1"
DRAW = "draw/1"
QUANTUM = "quantum/2"
DESCRIBE = "describe/10"
EXPORT = "export/1"
REPORT = "report/7"
