"""Energy of one molecule in vacuum from the numbers of its XML file, term by term: no OpenMM, no cleverness.

Positions in nm, energies in kJ/mol.
"""

import math
from xml.etree import ElementTree

import numpy as np

#: e² N_A / (4 π ε0) in kJ mol⁻¹ nm, from CODATA 2018.
COULOMB = 1.602176634e-19**2 * 6.02214076e23 / (4 * math.pi * 8.8541878128e-12) * 1e9 * 1e-3


def energies(xml, x, rule="Lorentz-Berthelot"):
    """Energy of each kind: {"HarmonicBondForce": …, "Coulomb": …, "LennardJones": …}."""
    out = {"HarmonicBondForce": 0.0, "HarmonicAngleForce": 0.0, "PeriodicTorsionForce": 0.0}
    for force in ElementTree.fromstring(xml).find("Forces"):
        kind = force.get("type")
        if kind == "HarmonicBondForce":
            out[kind] += sum(_bond(x, b) for b in force.find("Bonds"))
        elif kind == "HarmonicAngleForce":
            out[kind] += sum(_angle(x, a) for a in force.find("Angles"))
        elif kind == "PeriodicTorsionForce":
            out[kind] += sum(_torsion(x, t) for t in force.find("Torsions"))
        elif kind == "NonbondedForce":
            out["Coulomb"], out["LennardJones"] = _nonbonded(x, force, rule)
        else:
            raise AssertionError(f"unknown force {kind}")
    return out


def _number(node, key):
    return float(node.get(key))


def _at(x, node, n):
    return [x[int(node.get(f"p{i}"))] for i in range(1, n + 1)]


def _bond(x, node):
    a, b = _at(x, node, 2)
    return 0.5 * _number(node, "k") * (np.linalg.norm(a - b) - _number(node, "d")) ** 2


def _angle(x, node):
    a, b, c = _at(x, node, 3)
    u, v = a - b, c - b
    theta = math.acos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return 0.5 * _number(node, "k") * (theta - _number(node, "a")) ** 2


def _torsion(x, node):
    a, b, c, d = _at(x, node, 4)
    axis = c - b
    axis = axis / np.linalg.norm(axis)
    left = (a - b) - ((a - b) @ axis) * axis
    right = (d - c) - ((d - c) @ axis) * axis
    phi = math.atan2(np.cross(axis, left) @ right, left @ right)
    return _number(node, "k") * (1 + math.cos(_number(node, "periodicity") * phi - _number(node, "phase")))


def _nonbonded(x, force, rule):
    atoms = [(_number(p, "q"), _number(p, "sig"), _number(p, "eps")) for p in force.find("Particles")]
    special = {}
    for e in force.find("Exceptions"):
        key = tuple(sorted((int(e.get("p1")), int(e.get("p2")))))
        special[key] = (_number(e, "q"), _number(e, "sig"), _number(e, "eps"))
    coulomb = lennard_jones = 0.0
    for i in range(len(atoms)):
        for j in range(i + 1, len(atoms)):
            (q1, s1, e1), (q2, s2, e2) = atoms[i], atoms[j]
            mean = {"Lorentz-Berthelot": (s1 + s2) / 2, "geometric": math.sqrt(s1 * s2)}[rule]
            qq, sigma, epsilon = special.get((i, j), (q1 * q2, mean, math.sqrt(e1 * e2)))
            r = np.linalg.norm(x[i] - x[j])
            coulomb += COULOMB * qq / r
            lennard_jones += 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)
    return coulomb, lennard_jones
