"""OpenMM's XML, looked at before OpenMM sees it: since OpenMM 8.5 a System may hold Python code that runs on reading.

A ``PythonForce`` is stored with its function pickled, and deserialising the XML runs it. So only forces that are
numbers and formulae are let through, wherever a System comes from.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import openmm

from lmbmd.core.errors import LmbmdError

#: Forces that lmbmd writes.
WRITTEN = (
    "HarmonicBondForce",
    "HarmonicAngleForce",
    "PeriodicTorsionForce",
    "NonbondedForce",
    "MonteCarloBarostat",
    "CMMotionRemover",
)
#: Forces that other programs write: numbers and formulae too. Those that lmbmd cannot use are refused by name later.
HARMLESS = (
    "RBTorsionForce",
    "CMAPTorsionForce",
    "CustomBondForce",
    "CustomAngleForce",
    "CustomTorsionForce",
    "CustomNonbondedForce",
    "CustomExternalForce",
    "CustomCompoundBondForce",
    "GBSAOBCForce",
    "DrudeForce",
    "AndersenThermostat",
)
#: Tables of numbers that a custom force may hold.
_FUNCTIONS = tuple(f"{kind}{n}DFunction" for kind in ("Continuous", "Discrete") for n in (1, 2, 3))
_DECLARATION = re.compile(r"\s*<\?xml [^<>]*\?>")
_MOST_BYTES = 2 * 2**30


def read_system(path: Path, *, forces: tuple[str, ...] = WRITTEN, remedy: str = "Build it again.") -> openmm.System:
    """The System in a file.

    Raises:
        LmbmdError: if the file cannot be read, or as ``system_of`` does.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise LmbmdError("the file is larger than any System.", where=str(path), remedy=remedy)
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LmbmdError(f"the file cannot be read ({error}).", where=str(path), remedy=remedy) from error
    return system_of(text, str(path), forces=forces, remedy=remedy)


def system_of(
    text: str, where: str, *, forces: tuple[str, ...] = WRITTEN, remedy: str = "Build it again."
) -> openmm.System:
    """A System from its XML.

    Args:
        text: the XML.
        where: the file, for messages.
        forces: classes of force that may be in it.
        remedy: what to do about a file that is none.

    Raises:
        LmbmdError: if the text is no System, declares entities, or holds a force of another class.
    """
    found = _checked(text, "System", where, forces, remedy)
    if not isinstance(found, openmm.System):
        raise LmbmdError("this is no System.", where=where, remedy=remedy)
    return found


def state_of(text: str, where: str, remedy: str = "Run it again.") -> openmm.State:
    """A State (positions, velocities, box) from its XML; refused if it is anything else."""
    found = _checked(text, "State", where, (), remedy)
    if not isinstance(found, openmm.State):
        raise LmbmdError("this is no State.", where=where, remedy=remedy)
    return found


def _checked(text: str, root: str, where: str, forces: tuple[str, ...], remedy: str) -> Any:
    declared = _DECLARATION.match(text)
    if "<!" in text or "<?" in text[declared.end() if declared else 0 :]:
        # A DOCTYPE can define entities that hide or multiply text; OpenMM writes none, nor comments or instructions.
        what = "it has a declaration, an instruction or a comment ('<!', '<?'), which OpenMM never writes."
        raise LmbmdError(what, where=where, remedy=remedy)
    try:
        tree = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise LmbmdError(f"this is no {root}: it is not XML ({error}).", where=where, remedy=remedy) from error
    if tree.tag != root or tree.get("type", root) != root:
        said = tree.tag if tree.tag != root else f'{root} type="{tree.get("type")}"'
        raise LmbmdError(f"this is no {root} but <{said[:60]}>.", where=where, remedy=remedy)
    # OpenMM makes an object of whatever class a "type" names: at the root, in the list of forces whatever the element
    # is called, and of the tables within a force.
    listed = [element for part in tree.findall("Forces") for element in part]
    named = [element.get("type", "") if element.tag == "Force" else f"<{element.tag}>" for element in listed]
    within = [
        element.get("type", "") if element.tag == "Function" else f"<{element.tag}>"
        for element in {*tree.iter()} - {tree, *listed}
        if "type" in element.attrib
    ]
    if any(name not in _FUNCTIONS for name in within):
        raise LmbmdError("it has a force within another.", where=where, remedy=remedy)
    allowed = (*forces, *WRITTEN)
    wrong = next((name for name in named if name not in allowed), None)
    if wrong is not None:
        why = ", which runs code when it is read" if wrong == "PythonForce" else ""
        raise LmbmdError(
            f"it has a force of class {wrong[:60] or '(none)'}{why}.",
            where=where,
            remedy="lmbmd reads harmonic bonds and angles, periodic torsions and NonbondedForce.",
        )
    try:
        # What was looked at, not the text: OpenMM's own parser may read that otherwise.
        return openmm.XmlSerializer.deserialize(ElementTree.tostring(tree, encoding="unicode"))
    except Exception as error:  # OpenMM raises bare Exceptions for XML that it cannot use
        said = " ".join(str(error).split())[:200]
        raise LmbmdError(f"this is no {root} ({said}).", where=where, remedy=remedy) from error
