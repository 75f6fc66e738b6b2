"""How far a computation is, on a terminal and in a log."""

from __future__ import annotations

import io
import time

import pytest

from lmbmd.core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def parts(stream: io.StringIO) -> str:
    with Progress(stream) as progress:
        progress.begin("parametrize X", total=2, unit="parts")
        for text in ("charges", "geometry", "files"):
            progress.part(text)
    return stream.getvalue()


def test_named_parts_are_a_bar_on_a_terminal_and_lines_elsewhere():
    """A third part where two were expected counts, too."""
    assert "parametrize X: files: 100%" in parts(Terminal()) and "3/3 parts" in parts(Terminal())
    assert parts(io.StringIO()).splitlines() == [f"parametrize X: {text}" for text in ("charges", "geometry", "files")]


@pytest.mark.parametrize(
    ("unit", "line"),
    # 1 ps a second is 86.4 ns/day; 940 are left.
    [
        ("ps", "produce: 160 of 1100 ps, 86.4 ns/day, 15:40 left"),
        ("steps", "produce: 160 of 1100 steps, 1/s, 15:40 left"),
    ],
)
def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch, unit, line):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("produce", 1100.0, 100.0, unit)
    for second in range(1, 121):
        clock[0] = float(second)
        progress.at(100.0 + second)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 and lines[0] == line


def test_a_line_of_its_own_does_not_break_the_bar():
    stream = Terminal()
    progress = Progress(stream)
    progress.begin("produce", 10.0)
    progress.say("a line")
    progress.at(10.0)
    progress.end()
    assert "a line\n" in stream.getvalue()
    assert "10/10 ps" in stream.getvalue()


def test_no_stream_means_no_word(capsys):
    progress = Progress(None)
    progress.begin("produce", 10.0)
    progress.at(5.0)
    progress.say("nothing")
    progress.end()
    assert capsys.readouterr() == ("", "")
