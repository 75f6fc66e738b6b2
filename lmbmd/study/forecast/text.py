"""What ``check`` and ``estimate`` find, as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from lmbmd.core.words import aligned, counted, size_text

#: Formulations that a warning names before it says how many more there are.
_NAMED = 8
_WIDTH = 110


def check_text(data: dict[str, Any]) -> str:
    """The data of ``check`` as text."""
    rows = [
        (
            b["formulation"],
            f"{b['atoms']}",
            f"{b['box_edge_nm']:.2f}",
            f"{b['density_g_cm3']:.3f}",
            f"{100 * b['worst_error']:+.1f}",
            " ".join(f"{T:g}" for T in b["temperatures_K"]),
            f"{b['replicas']}",
            f"{b['runs']}",
            " ".join(f"{n} {species}" for species, n in b["counts"].items()),
        )
        for b in data["formulations"]
    ]
    columns = (
        "formulation",
        "atoms",
        "edge nm",
        "g/cm³",
        "worst %",
        "temperatures K",
        "replicas",
        "runs",
        "molecules",
    )
    lines = [
        (
            f"{data['study']}: {counted(len(rows), 'formulation')}, {counted(data['runs'], 'simulation')} of "
            f"{data['production_ns']:g} ns, a frame each {data['frame_interval_ps']:g} ps"
        ),
        *aligned(columns, rows, left=(0, 8)),
        *_segments(data),
        *_wrapped("Edge and density: ideal mixing, before equilibration. Worst: amount furthest from its recipe."),
        *_wrapped(f"Engine: {data['engine']}."),
        *_wrapped(f"Residence times of up to {data['longest_residence_ns']:.3g} ns can be measured in such a run."),
        *_warnings(data),
    ]
    return "\n".join(lines)


def estimate_text(data: dict[str, Any]) -> str:
    """The data of ``estimate`` as text."""
    unit = data["hours_of"]
    rows = [
        (
            c["formulation"],
            f"{c['molecules']}",
            f"{c['atoms']}",
            f"{c['box_edge_nm']:.2f}",
            f"{c['runs']}",
            f"{c['memory_bytes'] / 1e6:.0f}",
            size_text(sum(c["run_disk"].values())),
            size_text(c["disk_bytes"]),
            f"{c['ns_per_day']:.3g}",
            _range(c["run_h"]),
            _range(c["hours"]),
        )
        for c in data["formulations"]
    ]
    disk, hours = size_text(data["disk_bytes"]), _range(data["hours"])
    total = ("in all", "", "", "", f"{data['runs']}", "", "", disk, "", "", hours)
    columns = (
        "formulation",
        "molecules",
        "atoms",
        "edge nm",
        "runs",
        "memory MB",
        "disk/run",
        "disk",
        "ns/day",
        "h/run",
        f"{unit} hours",
    )
    beside = ", not the energies of shells" if data["jobs"].get("quantum") else ""
    of_rules = ", ".join(f"{n} {rule}" for rule, n in data["jobs"].items())
    lines = [
        *aligned(columns, [*rows, total], left=(0,)),
        "",
        f"{counted(sum(data['jobs'].values()), 'job')}: {of_rules}",
        *_wrapped(
            f"Times: from an equilibration as short, to one as long, as the protocol allows; {data['units_per_run']:g} "
            f"{unit}{'s' if data['units_per_run'] > 1 else ''} per run; the simulations only{beside}."
        ),
        *_together(data),
        *_segment_times(data),
        *(line for how in data["speeds"][:_NAMED] for line in _wrapped(f"Speed: {how}.")),
        *_wrapped("Other boxes: steps per second in inverse proportion to the atoms. Memory: a simulation on CPU."),
        *_warnings(data),
    ]
    return "\n".join(lines)


def _segments(data: dict[str, Any]) -> list[str]:
    transport = data["transport"]
    if not transport:
        return []
    thermostat = f" under a {transport['thermostat']} thermostat" if transport["ensemble"] == "NVT" else ""
    return _wrapped(
        f"From each simulation {counted(transport['segments'], 'transport segment')} of {transport['length_ns']:g} ns "
        f"at {transport['ensemble']}{thermostat}, a frame each {transport['frame_interval_ps']:g} ps."
    )


def _together(data: dict[str, Any]) -> list[str]:
    n = data["runs_at_once"]
    if n == 1:
        return []
    speeds = [n * c["ns_per_day"] for c in data["formulations"]]
    device = "GPU" if data["hours_of"] == "GPU" else "node"
    return _wrapped(
        f"ns/day and h/run are those of one of {n} runs that share a {device}; together they make "
        f"{_range((min(speeds), max(speeds)))} ns/day."
    )


def _segment_times(data: dict[str, Any]) -> list[str]:
    of_all = [c for c in data["formulations"] if c["segments"]]
    if not of_all:
        return []
    hours, each = sum(c["segment_hours"] for c in of_all), [c["segment_h"] for c in of_all]
    number = counted(sum(c["segments"] for c in of_all), "transport segment")
    return _wrapped(
        f"Of these hours {_range((hours, hours))} are those of {number}, {_range((min(each), max(each)))} h each, with "
        "the pressure tensors, each of which takes OpenMM as long as some 15 steps."
    )


def _warnings(data: dict[str, Any]) -> list[str]:
    lines = []
    for warning in data["warnings"]:
        text, cases = warning["text"], [f"{name} ({value})" for name, value in warning["cases"].items()]
        if cases:
            more = f" and {len(cases) - _NAMED} more" if len(cases) > _NAMED else ""
            text = f"{text}: {', '.join(cases[:_NAMED])}{more}"
        lines += _wrapped(f"warning: {warning['topic']}: {text}.")
    return ["", *lines] if lines else []


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _range(pair: Sequence[float]) -> str:
    low, high = (f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}" for x in pair)
    return low if low == high else f"{low}–{high}"
