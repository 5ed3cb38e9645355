"""Figures as people read them, in few and steady columns."""

from __future__ import annotations

import math
import time


def gib(size: float | None) -> str:
    """Bytes, in GiB or what is fitting, with three digits: `1.25 GiB`; `NA` if unknown."""
    if size is None:
        return "NA"
    if size < 1024:
        return f"{size:.0f} B"
    power = 1
    while size / 1024**power >= 999.5 and power < 4:
        power += 1
    return f"{three(size / 1024**power)} {' KMGT'[power]}iB"


def part(used: float | None, total: float | None) -> str:
    """Bytes of a whole, in the whole's unit: `9.10/31.2 GiB`."""
    if used is None or not total:
        return gib(used)
    power = 1
    while total / 1024**power >= 999.5 and power < 4:
        power += 1
    return f"{three(used / 1024**power)}/{three(total / 1024**power)} {' KMGT'[power]}iB"


def three(value: float) -> str:
    """Three digits: 1.23, 12.3, 123."""
    return f"{value:.{2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0}f}"


def count(value: float) -> str:
    """A whole number with k, M, G, T from 10,000 on: 9,812; 12.3k; 4.56M."""
    if abs(value) < 9999.5:
        return f"{value:,.0f}"
    power = 1
    while abs(value) / 1000**power >= 999.5 and power < 4:
        power += 1
    return f"{three(value / 1000**power)}{' kMGT'[power]}"


def number(value: float | None) -> str:
    """A measured value with about four digits; `NA` where there is none."""
    if value is None or not math.isfinite(value):
        return "NA"
    size = abs(value)
    if value == 0:
        return "0"
    if size < 1e-3 or size >= 1e6:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{4 if size < 10 else 3 if size < 100 else 1}f}"


def span(seconds: float | None) -> str:
    """A length of time in two units: 14 s, 2 m 05 s, 3 h 20 m, 4 d 6 h."""
    if seconds is None or not math.isfinite(seconds):
        return "NA"
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def short_seconds(seconds: float) -> str:
    """A duration that is mostly short: 340 ms, 1.25 s, 41.0 s, then as span."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{three(seconds)} s" if seconds < 120 else span(seconds)


def age(then: float, now: float) -> str:
    """How long ago, in one unit: `now`, `5 m`, `3 h`, `4 d`."""
    seconds = max(now - then, 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def clock(then: float, seconds: bool = True) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(then))
