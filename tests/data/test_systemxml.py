"""A System's XML never runs code, whoever wrote it."""

from __future__ import annotations

import pickle

import openmm
import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.data.systemxml import HARMLESS, read_system, state_of, system_of


def system(*forces):
    made = openmm.System()
    made.addParticle(1.0)
    made.addParticle(1.0)
    for force in forces:
        made.addForce(force)
    return made


def text_of(*forces):
    return openmm.XmlSerializer.serialize(system(*forces))


def bonded():
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.1, 1000.0)
    return bond


class Payload:
    """Runs when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w').close()",))


def hostile(tmp_path):
    """The XML of a System with a PythonForce whose pickled function writes a file, or None on an older OpenMM."""
    import base64

    mark = tmp_path / "executed"
    code = base64.b64encode(pickle.dumps(Payload(mark))).decode()
    text = text_of(bonded()).replace("</Forces>", f'<Force type="PythonForce" version="1" pickled="{code}" /></Forces>')
    assert "PythonForce" in text
    return text, mark


def test_a_pickled_function_is_refused_before_openmm_sees_it(tmp_path):
    text, mark = hostile(tmp_path)
    with pytest.raises(LmbmdError, match=r"system\.xml: it has a force of class PythonForce, which runs code"):
        system_of(text, "system.xml")
    (tmp_path / "system.xml").write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match="PythonForce"):
        read_system(tmp_path / "system.xml", forces=HARMLESS)
    assert not mark.exists()


@pytest.mark.skipif(not hasattr(openmm, "PythonForce"), reason="this OpenMM has no PythonForce")
def test_a_real_python_force_is_refused(tmp_path):
    text = text_of(openmm.PythonForce(print))
    with pytest.raises(LmbmdError, match="PythonForce"):
        system_of(text, "system.xml")


class Real:
    """The text of a PythonForce as OpenMM writes it, whose function leaves a mark when it is read."""

    def __init__(self, mark):
        self.mark = mark
        self.attributes = (
            f'forceGroup="0" function="{pickle.dumps(Payload(mark)).hex()}" name="P" type="PythonForce" '
            'usesPeriodic="0" version="2"'
        )
        self.inside = "<GlobalParameters/><Particles/>"

    def element(self, tag, attributes=None):
        return f"<{tag} {attributes or self.attributes}>{self.inside}</{tag}>"


def table(real):
    """A custom force of which the table of numbers is no table."""
    text = openmm.CustomNonbondedForce("f(r)")
    text.addTabulatedFunction("f", openmm.Continuous1DFunction([0.0, 1.0], 0.0, 1.0))
    text = text_of(text)
    start, end = text.index("<Function "), text.index("</Function>") + len("</Function>")
    return text[:start] + real.element("Function", real.attributes.replace('name="P"', 'name="f"')) + text[end:]


HIDDEN = {
    "under another tag": lambda real: text_of(bonded()).replace("</Forces>", real.element("Farce") + "</Forces>"),
    "in a second list": lambda real: text_of(bonded()).replace(
        "</Forces>", f"</Forces><Forces>{real.element('Farce')}</Forces>"
    ),
    "with a namespace": lambda real: text_of(bonded()).replace(
        "</Forces>", real.element("x:Force", 'xmlns:x="u" ' + real.attributes) + "</Forces>"
    ),
    "as the System itself": lambda real: real.element("System"),
    "in an instruction": lambda real: text_of(bonded()).replace(
        "</Forces>", f"<?hidden > {real.element('Force')} <x ?></Forces>"
    ),
    "as a table of numbers": table,
}


@pytest.mark.skipif(not hasattr(openmm, "PythonForce"), reason="this OpenMM has no PythonForce")
@pytest.mark.parametrize("where", HIDDEN)
def test_a_force_that_runs_code_is_found_wherever_openmm_would_read_it(tmp_path, where):
    real = Real(tmp_path / "executed")
    with pytest.raises(LmbmdError, match=r"s\.xml: (it has a|this is no System but)"):
        system_of(HIDDEN[where](real), "s.xml", forces=HARMLESS)
    assert not real.mark.exists()


@pytest.mark.skipif(not hasattr(openmm, "PythonForce"), reason="this OpenMM has no PythonForce")
def test_a_state_that_is_a_force_is_refused(tmp_path):
    real = Real(tmp_path / "executed")
    with pytest.raises(LmbmdError, match='no State but <State type="PythonForce">'):
        state_of(real.element("State"), "state.xml")
    assert not real.mark.exists()


def test_a_custom_force_with_a_table_of_numbers_is_read():
    force = openmm.CustomNonbondedForce("f(r)")
    force.addTabulatedFunction("f", openmm.Continuous1DFunction([0.0, 1.0], 0.0, 1.0))
    for _ in range(2):
        force.addParticle([])
    text = text_of(force)
    assert openmm.XmlSerializer.serialize(system_of(text, "s.xml", forces=HARMLESS)) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<System", "<!DOCTYPE x [<!ENTITY a 'b'>]><System"), "declaration, an instruction or a comment"),
        (("<Forces>", "<Forces><!-- <Force -->"), "declaration, an instruction or a comment"),
        (('type="HarmonicBondForce"', 'type="CustomCVForce"'), "class CustomCVForce"),
        (('type="HarmonicBondForce"', 'type="pythonforce"'), "class pythonforce"),
        (('type="HarmonicBondForce"', ""), r"class \(none\)"),
        (("<Bonds>", '<Force type="PythonForce"/><Bonds>'), "force within another"),
        (("<System", "<Sistem"), "not XML|no System"),
        (("</System>", ""), "not XML"),
    ],
)
def test_what_openmm_would_not_have_written_is_refused(change, message):
    text = text_of(bonded())
    assert change[0] in text
    with pytest.raises(LmbmdError, match=message):
        system_of(text.replace(*change, 1), "s.xml")


@pytest.mark.parametrize("bad", ["", "\0", "1", "[]", "<System/>", "<State/>", "<System><Forces></System>"])
def test_text_that_is_no_system_is_refused(bad):
    with pytest.raises(LmbmdError, match=r"s\.xml"):
        system_of(bad, "s.xml")


def test_what_lmbmd_writes_is_read_as_it_was():
    forces = bonded(), openmm.NonbondedForce(), openmm.MonteCarloBarostat(1.0, 300.0), openmm.CMMotionRemover()
    for _ in range(2):
        forces[1].addParticle(0.1, 0.3, 0.5)
    text = text_of(*forces)
    assert openmm.XmlSerializer.serialize(system_of(text, "s.xml")) == text


def test_a_state_is_a_state_and_nothing_else(tmp_path):
    context = openmm.Context(system(bonded()), openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions([(0, 0, 0), (0.1, 0, 0)])
    text = openmm.XmlSerializer.serialize(context.getState(positions=True))
    assert state_of(text, "state.xml").getPositions(asNumpy=True).shape == (2, 3)
    with pytest.raises(LmbmdError, match="no State"):
        state_of(text_of(bonded()), "state.xml")
    with pytest.raises(LmbmdError, match="no State"):
        state_of(hostile(tmp_path)[0], "state.xml")
