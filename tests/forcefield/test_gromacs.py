"""Energies of every released molecule in GROMACS, from a topology written here out of the XML's own numbers.

GROMACS has its own units, torsion conventions, 1–4 rules and Coulomb constant, so a slip in ours would show.
"""

import re
import shutil
import subprocess
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import openmm
import pytest
from released import MOLECULES

from lmbmd.forcefield.mixing import mixed

GMX = shutil.which("gmx_d") or shutil.which("gmx")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(GMX is None, reason="GROMACS (gmx) is not installed")]

BOX_NM, CUT_OFF_NM = 10.0, 4.5
DISTORTION_NM = 0.005
MDP = f"""
integrator = md
nsteps = 0
cutoff-scheme = Verlet
verlet-buffer-tolerance = -1
rlist = {CUT_OFF_NM}
coulombtype = Cut-off
rcoulomb = {CUT_OFF_NM}
coulomb-modifier = None
epsilon-rf = 1
vdwtype = Cut-off
rvdw = {CUT_OFF_NM}
vdw-modifier = None
DispCorr = no
constraints = none
nstenergy = 1
nstlog = 1
continuation = yes
gen-vel = no
"""


def _number(node, *keys):
    return [float(node.get(key)) for key in keys]


def _atoms(node, n):
    return " ".join(str(int(node.get(f"p{i}")) + 1) for i in range(1, n + 1))


def _topology(xml, elements, rule):
    """A GROMACS topology: [defaults] without generated pairs, every 1–4 pair explicit."""
    root = ElementTree.fromstring(xml)
    forces = {force.get("type"): force for force in root.find("Forces")}
    nonbonded = forces["NonbondedForce"]
    atoms = [_number(p, "q", "sig", "eps") for p in nonbonded.find("Particles")]
    masses = [float(p.get("mass")) for p in root.find("Particles")]
    pairs, scale = [], 1.0
    for e in nonbonded.find("Exceptions"):
        qq, sigma, epsilon = _number(e, "q", "sig", "eps")
        if qq == epsilon == 0:
            continue
        i, j = int(e.get("p1")), int(e.get("p2"))
        scale = qq / (atoms[i][0] * atoms[j][0]) if qq else scale
        pairs.append(f"{i + 1} {j + 1} 1 {sigma!r} {epsilon!r}")
    number = {"Lorentz-Berthelot": 2, "geometric": 3}[rule]
    lines = ["[ defaults ]", f"1 {number} no 1.0 {scale!r}", "[ atomtypes ]"]
    lines += [f"T{i} {masses[i]} 0.0 A {s!r} {e!r}" for i, (_, s, e) in enumerate(atoms)]
    lines += ["[ moleculetype ]", "MOL 3", "[ atoms ]"]
    lines += [f"{i + 1} T{i} 1 MOL {elements[i]}{i} {i + 1} {q!r} {masses[i]}" for i, (q, _, _) in enumerate(atoms)]
    lines.append("[ bonds ]")
    for b in forces["HarmonicBondForce"].find("Bonds"):
        d, k = _number(b, "d", "k")
        lines.append(f"{_atoms(b, 2)} 1 {d!r} {k!r}")
    lines += ["[ pairs ]", *pairs, "[ angles ]"]
    for a in forces["HarmonicAngleForce"].find("Angles"):
        theta, k = _number(a, "a", "k")
        lines.append(f"{_atoms(a, 3)} 1 {float(np.degrees(theta))!r} {k!r}")
    if "PeriodicTorsionForce" in forces:
        lines.append("[ dihedrals ]")
        for t in forces["PeriodicTorsionForce"].find("Torsions"):
            phase, k = _number(t, "phase", "k")
            lines.append(f"{_atoms(t, 4)} 9 {float(np.degrees(phase))!r} {k!r} {t.get('periodicity')}")
    return "\n".join([*lines, "[ system ]", "one molecule", "[ molecules ]", "MOL 1", ""])


def _gromacs_energies(folder, xml, elements, x, rule):
    (folder / "run.mdp").write_text(MDP, encoding="utf-8")
    (folder / "topol.top").write_text(_topology(xml, elements, rule), encoding="utf-8")
    lines = ["one molecule", str(len(x))]
    for i, (a, b, c) in enumerate(x + 0.5 * BOX_NM, start=1):
        lines.append(f"{1:5d}MOL  {elements[i - 1] + str(i - 1):>5}{i:5d}{a:16.10f}{b:16.10f}{c:16.10f}")
    (folder / "conf.gro").write_text("\n".join([*lines, f"{BOX_NM} {BOX_NM} {BOX_NM}", ""]), encoding="utf-8")
    for command in (
        ["grompp", "-f", "run.mdp", "-p", "topol.top", "-c", "conf.gro", "-o", "run.tpr", "-maxwarn", "5"],
        ["mdrun", "-s", "run.tpr", "-deffnm", "run", "-nt", "1", "-nb", "cpu"],
    ):
        done = subprocess.run(
            [GMX, "-nobackup", *command], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    text = (folder / "run.log").read_text(encoding="utf-8")
    block = text[text.index("Energies (kJ/mol)") :].split("\n\n")[0].splitlines()[1:]
    found = {}
    for names, values in zip(block[::2], block[1::2], strict=False):
        keys = [names[k : k + 15].strip() for k in range(0, len(names.rstrip()), 15)]
        found.update(zip(keys, map(float, re.findall(r"[-+]\d\.\d+e[-+]\d+| \d\.\d+e[-+]\d+", values)), strict=True))
    return found


@pytest.mark.parametrize(("parameters", "name"), MOLECULES)
def test_gromacs_finds_the_same_energies(tmp_path, parameters, name):
    rng = np.random.default_rng(11)
    x = 0.1 * parameters.geometry(name)
    x = np.round(x + DISTORTION_NM * rng.standard_normal(x.shape), 9)
    rule = parameters.combining_rule
    found = _gromacs_energies(tmp_path, parameters.systems[name], parameters.elements(name), x, rule)

    system = mixed(parameters.system(name), rule)
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(x)
    get = lambda group: context.getState(getEnergy=True, groups={group}).getPotentialEnergy()._value  # noqa: E731
    ours = Counter()
    for group, force in enumerate(system.getForces()):
        ours[type(force).__name__] += get(group)  # of geometric mixing, there are two NonbondedForces

    # The log has six digits. Every pair lies inside the plain, unshifted cut-off, so that nothing is left out.
    nonbonded = sum(found.get(key, 0.0) for key in ("LJ-14", "Coulomb-14", "LJ (SR)", "Coulomb (SR)"))
    assert found["Bond"] == pytest.approx(ours["HarmonicBondForce"], rel=1e-4)
    assert found["Angle"] == pytest.approx(ours["HarmonicAngleForce"], rel=1e-4)
    torsions = found.get("Proper Dih.", 0.0)
    assert torsions == pytest.approx(ours.get("PeriodicTorsionForce", 0.0), rel=1e-4, abs=1e-6)
    assert nonbonded == pytest.approx(ours["NonbondedForce"], rel=1e-4, abs=1e-3)
    assert found["Potential"] == pytest.approx(sum(ours.values()), rel=1e-4, abs=1e-3)
