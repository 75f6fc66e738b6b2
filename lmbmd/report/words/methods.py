"""The methods of a report as a paragraph to copy, made from the records of its own runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmbmd.core import rounding
from lmbmd.core.units import PS_PER_NS
from lmbmd.core.words import counted, listed
from lmbmd.report.inputs import Replica, Results
from lmbmd.report.words import naming, narrative
from lmbmd.report.words.references import HYDROGEN_AMU, Reference, engine_of

#: How an engine holds the pressure.
_BAROSTATS = {"openmm": "Monte Carlo barostat", "gromacs": "stochastic cell rescaling"}
#: Of a protocol: how long runs are, which is told by itself.
_LENGTHS = {"production_ns", "equilibration_ns", "max_equilibration_ns"}
_RULES = {"Lorentz-Berthelot": "Lorentz–Berthelot", "geometric": "geometric"}


def paragraph(results: Results, cited: Iterable[Reference]) -> str:
    """What a paper would say of these runs; what no record tells is left out. Keys of the bibliography in brackets.

    Args:
        cited: what the report cites.
    """
    keys: dict[str, list[str]] = {}
    for one in cited:
        for use in one.uses:
            keys.setdefault(use, []).append(one.key)
    sentences = _foreign(results) if results.analysed else _simulated(results, keys)
    sentences += [narrative.moved_in(point).replace("Read from", "Motion was read from") for point in _moved(results)]
    sentences += _analysed(results, keys)
    return " ".join(dict.fromkeys(filter(None, sentences)))


def _cite(keys: Mapping[str, list[str]], beginning: str) -> str:
    """`` [key; key]`` of what is cited for uses that begin so; "" if nothing is."""
    found = dict.fromkeys(key for use, those in keys.items() if use.startswith(beginning) for key in those)
    return f" [{'; '.join(found)}]" if found else ""


def _foreign(results: Results) -> list[str]:
    return [f"Trajectories that another program had made were analysed ({narrative.read(results)})."]


def _simulated(results: Results, keys: Mapping[str, list[str]]) -> list[str]:
    runs = _runs(results)
    records = [{**(run.run.get("spec") or {}), **run.spec} for run in runs]
    protocol: Mapping[str, Any] = next((spec["protocol"] for spec in records if spec.get("protocol")), {})
    edge, box = results.composition.get("box_edge_A"), results.counts
    held = ", ".join(f"{n} {naming.species(name)}" for name, n in box.items())
    engines = dict.fromkeys(filter(None, (_engine(run.run) for run in runs)))
    with_engine = f" with {listed(list(engines))}{_cite(keys, 'molecular dynamics')}" if engines else ""
    wide = f" (edge of the cubic box about {edge / 10:.2f} nm)" if isinstance(edge, int | float) else ""
    first = f"Classical molecular dynamics simulations of {held or 'the liquid'}{wide} were run{with_engine}."
    return [first, _model(results, keys), _dynamics(results, protocol, records, keys)]


def _engine(run: Mapping[str, Any]) -> str:
    record, versions = run.get("engine") or {}, run.get("versions") or {}
    name = str(record.get("name") or ("OpenMM" if "openmm" in versions else ""))
    return f"{name} {record.get('version') or versions.get(name.lower(), '')}".strip()


def _model(results: Results, keys: Mapping[str, list[str]]) -> str:
    name, scale = results.composition.get("force_field"), results.composition.get("ion_charge_scale")
    if not name:
        return ""
    title = results.force_field.get("title")
    text = f"Interactions were those of the parameter set {name}{f' ({title})' if title else ''}"
    own = [f"{who}{_cite(keys, f'parameters of {who}')}" for who in map(naming.species, results.counts)]
    text += f", with parameters of {listed(own)}" if any("[" in one for one in own) else ""
    if isinstance(scale, int | float):
        text += f"; the charges of the ions were multiplied by {scale:g}{_cite(keys, 'scale of the ions')}"
    terms = results.force_field.get("nonbonded") or {}
    if cut := terms.get("cut_off_A"):
        switch = f", switched off from {terms['switch_from_A']:g} Å" if terms.get("switch_from_A") else ""
        tail = ", with a long-range correction" if terms.get("long_range_correction") else ""
        rule = _RULES.get(str(terms.get("combining_rule")), "")
        rules = f" ({rule} rules)" if rule else ""
        text += f". Lennard-Jones interactions{rules} were cut off at {cut:g} Å{switch}{tail}"
    if terms.get("electrostatics") == "PME":
        text += f"; electrostatics were summed by smooth particle mesh Ewald{_cite(keys, 'electrostatics')}"
    return f"{text}."


def _dynamics(
    results: Results, protocol: Mapping[str, Any], records: Sequence[Mapping[str, Any]], keys: Mapping[str, list[str]]
) -> str:
    if not protocol:
        return ""
    step = f"The time step was {protocol['timestep_fs']:g} fs"
    if protocol.get("constraints") == "h-bonds":
        step += f", with bonds to hydrogen of fixed length{_cite(keys, 'bonds to hydrogen')}"
        if protocol.get("hydrogen_mass_amu", 0) > HYDROGEN_AMU:
            step += f" and hydrogens of {protocol['hydrogen_mass_amu']:g} amu{_cite(keys, 'hydrogen mass')}"
    pressure = next((spec["pressure_bar"] for spec in records if spec.get("pressure_bar")), None)
    ways = [_BAROSTATS[name] for name in dict.fromkeys(map(engine_of, _runs(results))) if name in _BAROSTATS]
    couplings = [f"Langevin thermostat, {protocol['friction_per_ps']:g}/ps{_cite(keys, 'integrator')}"]
    if pressure and ways:
        couplings.append(f"{listed(ways)}{_cite(keys, 'constant pressure')}")
    packed = _cite(keys, "packing")
    differ = _differing([spec["protocol"] for spec in records if spec.get("protocol")])
    recorded = _recorded(results)
    at = f"{', all at' if ';' in recorded else ' and'} {pressure:g} bar" if pressure else ""
    return (
        f"{step}. Boxes were {f'packed with Packmol{packed}, ' if packed else ''}minimised and equilibrated for at "
        f"least {rounding.duration(PS_PER_NS * protocol['equilibration_ns'])}; what followed was recorded, a frame "
        f"every {protocol['frame_interval_ps']:g} ps: {recorded}{at} ({'; '.join(couplings)}).{differ}"
    )


def _runs(results: Results) -> list[Replica]:
    return [replica for point in results.state_points for replica in point.replicas]


def _recorded(results: Results) -> str:
    """How many runs of what length there are at which temperature."""
    found: dict[str, list[str]] = {}
    for point in results.state_points:
        lengths = sorted({run.production_ps for run in point.replicas if run.production_ps})
        long = " to ".join(dict.fromkeys(rounding.duration(ps) for ps in (lengths[0], lengths[-1]))) if lengths else ""
        runs = counted(len(point.replicas), "independent run") if len(point.replicas) > 1 else "one run"
        found.setdefault(f"{runs}{f' of {long}' if long else ''}", []).append(point.at)
    return "; ".join(f"{runs}{' each' if len(at) > 1 else ''} at {listed(at)}" for runs, at in found.items())


def _differing(protocols: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on what not all runs share besides their lengths; "" if there is nothing."""
    names = sorted({key for one in protocols for key in one} - _LENGTHS)
    differ = [name for name in names if len({str(one.get(name)) for one in protocols}) > 1]
    return f" The runs differ in {listed(differ)}: what is said here is the first's." if differ else ""


def _moved(results: Results) -> list[Any]:
    return [point for point in results.state_points if point.table("motion_runs") is not None]


def _analysed(results: Results, keys: Mapping[str, list[str]]) -> list[str]:
    records = [(point.described.facts.get("provenance") or {}).get("versions") or {} for point in results.state_points]
    lmbmd = f"lmbmd {next((str(one['lmbmd']) for one in records if 'lmbmd' in one), '')}".strip()
    inside: dict[str, list[str]] = {}
    for point in results.state_points:
        table = point.table("cutoffs")
        if table is not None:
            rows = table[table.partner.str.contains(":") & table.cutoff_A.notna()].itertuples()
            radii = [f"{naming.species(str(r.centre))}–{naming.site(str(r.partner))} {r.cutoff_A:.2f} Å" for r in rows]
            if radii:
                inside.setdefault(listed(radii), []).append(point.at)
    said = [f"{radii}{f' at {listed(at)}' if len(inside) > 1 else ''}" for radii, at in inside.items()]
    where = f", inside the cut-offs {'; '.join(said)}" if said else ""
    first = f"First shells were counted with {lmbmd}{where}."
    last = "Errors are one standard error of the mean from the autocorrelation of the runs"
    return [first, f"{last}{_cite(keys, 'error bars')}."]
