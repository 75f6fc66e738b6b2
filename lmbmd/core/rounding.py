"""Numbers as a reader sees them. Nothing here changes a number beyond rounding it."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

DASH = "–"
SUPERSCRIPT = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def number(value: float | None, error: float | None = None, reliable: bool = True) -> str:
    """A value, rounded as its standard error allows: ``"0.43 ± 0.05"``.

    The error keeps one significant digit, or two when they lie between 1.0 and 1.9 (a second digit there is
    more than a tenth of the error); the value ends at the same decimal place. Without an error the value keeps
    three significant digits, a whole number below a million all of them; ``± ?`` marks an error that is not known
    (NaN) as against one that does not exist (None, or 0). With an error that is not to be relied on, the value keeps
    two significant digits at most, and the error, known or not, is left out: ``"≈ 0.43"``. A value that is NaN or
    None is a dash.
    """
    value = math.nan if value is None else float(value)
    if not math.isfinite(value):
        return DASH
    if not reliable and error is not None and math.isnan(error):
        error = 0.01 * abs(value) or 1.0  # two digits
    if error is None or not math.isfinite(error) or error <= 0:
        text = _rounded(value, _places_without_error(value))
        return text if error is None or error == 0 else f"{text} ± ?"
    power = math.floor(math.log10(max(abs(value), error)))
    if not reliable and power < -4:
        return f"{number(value / 10.0**power, error / 10.0**power, False)} × 10{_super(power)}"
    if not reliable:
        most = 1 - int(f"{value:.1e}".partition("e")[2]) if value else _places(error)
        return f"≈ {_rounded(value, min(_places(error), most))}"
    if power >= 6 or power < -4:
        scaled = number(value / 10.0**power, error / 10.0**power)
        return f"({scaled}) × 10{_super(power)}"
    places = _places(error)
    return f"{_rounded(value, places)} ± {_rounded(error, places)}"


def _places(error: float) -> int:
    """Decimal place (may be negative) at which a positive error is rounded."""
    exponent = math.floor(math.log10(error))
    leading = error / 10.0**exponent
    if leading >= 9.5:  # rounds up to the next power of ten, whose leading digit is 1
        exponent, leading = exponent + 1, 1.0
    return (1 if leading < 1.95 else 0) - exponent


def _places_without_error(value: float) -> int:
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return 0
    return 2 - math.floor(math.log10(abs(value)))


def _rounded(value: float, places: int) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4) and places > 4:
        power = math.floor(math.log10(abs(value)))
        return f"{_rounded(value / 10.0**power, 2)} × 10{_super(power)}"
    quantum = Decimal(1).scaleb(-places)
    text = format(Decimal(repr(float(value))).quantize(quantum, rounding=ROUND_HALF_EVEN), "f")
    text = text.removeprefix("-") if not text.strip("-0.") else text
    return text.replace("-", "−")


def _super(power: int) -> str:
    return str(power).translate(SUPERSCRIPT)


def exact(value: float) -> str:
    """A number that somebody wrote (an amount asked for, a threshold), as short as it is; NaN is a dash."""
    return f"{value:g}".replace("-", "−") if value is not None and math.isfinite(value) else DASH


def fixed(value: float, places: int) -> str:
    """A number with so many decimal places; NaN is a dash."""
    return _rounded(value, places) if math.isfinite(value) else DASH


def percent(value: float | None, error: float | None = None, reliable: bool = True) -> str:
    """A fraction as per cent: ``"43 ± 5 %"``."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{number(100 * value, None if error is None else 100 * error, reliable)} %"


def unit(text: str) -> str:
    """A unit as printed: nothing for a pure number, whose unit is ``"1"`` in a table."""
    return "" if text == "1" else text


def duration(time_ps: float) -> str:
    """A time with a readable unit: ``"1.5 ns"``."""
    if not math.isfinite(time_ps):
        return DASH
    if abs(time_ps) >= 1e6:
        return f"{number(time_ps / 1e6)} µs"
    return f"{number(time_ps / 1000)} ns" if abs(time_ps) >= 1000 else f"{number(time_ps)} ps"


def ordinal(n: int) -> str:
    """``"1st"``, ``"2nd"``, ``"11th"``."""
    return f"{n}{'th' if 10 < n % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"
