"""The axes of a chart: where they begin and end, and what is written on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cockpit.decimate import Bands, Floats
from cockpit.source import Axis
from cockpit.widgets.units import count

Rows = npt.NDArray[np.int64]
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_DECADE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
WIDE = 14
"""Cells that a label on the x axis and the room around it take."""


@dataclass(frozen=True)
class Scale:
    """A y axis from bottom to top, in equal steps or, if log, in equal ratios; ticks rise."""

    bottom: float
    top: float
    ticks: tuple[float, ...]
    log: bool = False

    def holds(self, low: float, high: float) -> bool:
        """Whether a range lies inside and uses enough of the height to be left alone."""
        if not self.bottom <= low <= high <= self.top:
            return False
        return 2 * (self.height(high) - self.height(low)) >= 1

    def height(self, value: float) -> float:
        """Where a value lies: 0 at the bottom, 1 at the top."""
        if self.log:
            return math.log(value / self.bottom) / math.log(self.top / self.bottom)
        return (value - self.bottom) / (self.top - self.bottom)

    def rows(self, values: Floats, rows: int) -> Rows:
        """The dot row of each value, from 0 at the top, those beyond the axis at its edge; −1 for
        NaN. On a logarithmic axis what is not above 0 lies below it."""
        if self.log:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                place = np.log(self.top / np.maximum(values, 0.0)) / math.log(
                    self.top / self.bottom
                )
        else:
            place = (self.top - values) / (self.top - self.bottom)
        found = ~np.isnan(values)
        inside = np.clip(np.where(found, place, 0.0) * (rows - 1), 0, rows - 1)
        return np.where(found, np.rint(inside), -1).astype(np.int64)

    def label(self, tick: float) -> str:
        """A tick's label, with as many decimals as its neighbours need."""
        if self.log and self.top > 10 * self.bottom:
            return _power(tick)
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(tick) or 1.0
        return tick_label(tick, step)


def nice_step(span: float, parts: int) -> float:
    """The smallest of 1, 2, 2.5, 5 × 10ᵏ that needs at most `parts` steps for a span."""
    raw = max(span, 1e-300) / max(parts, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in _NICE if factor * power >= raw * (1 - 1e-9))


def scale_for(
    low: float, high: float, rows: int, before: Scale | None = None, log: bool = False
) -> Scale:
    """The axis for a range on `rows` text rows: the one before if it will do (a chart that
    rescales at every step is unreadable), else round ends. A range that reaches 0 has no
    logarithmic axis and gets a linear one."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return before or Scale(0.0, 1.0, (0.0, 0.5, 1.0))
    log = log and low > 0
    if high - low < 1e-6 * max(abs(high), abs(low), 1e-12):
        pad = 0.05 * abs(high) if abs(high) > 1e-12 else 1.0
        low, high = low - pad, high + pad
    elif before and before.log == log and before.holds(low, high):
        return before
    parts = max(2, min(6, rows // 3))
    if log and high > 3 * low:
        return _log_scale(low, high, parts)
    step = nice_step(high - low, parts)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(k * step for k in range(first, last + 1))
    if log and ticks[0] <= 0:
        return Scale(low, ticks[-1], ticks[1:], True)
    return Scale(ticks[0], ticks[-1], ticks, log)


def _log_scale(low: float, high: float, parts: int) -> Scale:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [f * 10.0**k for k in range(first, last + 1) for f in _DECADE[:-1]]
    bottom = max(v for v in every if v <= low * (1 + 1e-9))
    top = min(v for v in every if v >= high * (1 - 1e-9))
    ticks: list[float] = []
    for factors in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**k for k in range(first, last + 1) for f in factors]
        ticks = [v for v in ticks if bottom * (1 - 1e-9) <= v <= top * (1 + 1e-9)]
        if len(ticks) <= parts + 1:
            break
    if len(ticks) > parts + 1:  # many decades: every second, third …
        ticks = ticks[:: math.ceil(len(ticks) / (parts + 1))]
    return Scale(bottom, top, tuple(ticks), True)


def value_range(drawn: Sequence[Bands], every: bool, log: bool = False) -> tuple[float, float]:
    """What the y axis has to show: every value, or all but the first steps of a long run, whose
    height would press the rest flat; what is above is drawn at the edge. Of a logarithmic axis
    only what is above 0 counts."""
    lows, highs = [], []
    for bands in drawn:
        filled = np.flatnonzero(bands.good)
        kept = filled if every or len(filled) < 50 else filled[len(filled) // 25 :]
        low, high = bands.low[kept], bands.high[kept]
        if log:
            low, high = np.where(low > 0, low, high), high[high > 0]
            low = low[low > 0]
        if len(low) and len(high):
            lows.append(float(low.min()))
            highs.append(float(high.max()))
    return (min(lows), max(highs)) if lows else (math.nan, math.nan)


def tick_label(value: float, step: float) -> str:
    """A label with as many decimals as ticks that far apart need, in six characters."""
    if step >= 1000:
        return count(value).replace(".00", "")
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**places - round(step * 10**places)) > 1e-6:
        places += 1  # 2.5 or 0.25
    label = f"{value:.{places}f}"
    return label if len(label) < 7 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def _power(value: float) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:g}" if value < 1e4 else f"{value / 1000:g}k"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")


def x_ticks(axis: Axis, start: float, end: float, width: int) -> list[tuple[float, str]]:
    """Where an x axis of `width` cells is labelled, and with what. Time is in seconds."""
    parts = max(2, width // WIDE)
    step = _second_step(end - start, parts) if axis == "time" else nice_step(end - start, parts)
    if axis != "time":
        step = max(step, 1.0)
    first = math.ceil(start / step - 1e-9)
    ticks = [k * step for k in range(first, math.floor(end / step + 1e-9) + 1)]
    name = _timed(step) if axis == "time" else _counted(ticks, step)
    return [(tick, name(tick)) for tick in ticks]


def _second_step(span: float, parts: int) -> float:
    if span < parts:
        return nice_step(span, parts)
    days = 86400 * nice_step(span / 86400, parts)
    return next((float(step) for step in _TIMES if span / step <= parts), days)


def _counted(ticks: Sequence[float], step: float) -> Callable[[float], str]:
    """How counts are written so that neighbours differ: 9,800; 12.5k; 3.25M."""
    most = max((abs(tick) for tick in ticks), default=0.0)
    size, letter, places = 1.0, "", 0
    for unit, its_letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        most_decimals = 2 if unit > 1e3 else 0
        decimals = next((n for n in range(3) if _whole(step / unit * 10**n)), 3)
        if most >= max(unit, 1e4) and decimals <= most_decimals:
            size, letter, places = unit, its_letter, decimals
            break
    return lambda tick: f"{tick / size:,.{places}f}{letter}" if tick else "0"


def _whole(value: float) -> bool:
    return value > 0.5 and abs(value - round(value)) < 1e-6


def _timed(step: float) -> Callable[[float], str]:
    """How times are written so that neighbours differ: in whole seconds, or 10.25s, 1m10.5s."""
    if step >= 1:
        return elapsed
    places = next((n for n in range(1, 3) if _whole(step * 10**n)), 3)

    def fine(seconds: float) -> str:
        minutes, rest = divmod(round(seconds, places), 60)
        return (elapsed(60 * minutes) if minutes else "") + f"{rest:.{places}f}s"

    return fine


def elapsed(seconds: float) -> str:
    """A time since the start, short: 45s, 1m30s, 2h05m, 3d4h."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        rest = f"{hours}h{minutes:02}m" if minutes else f"{hours}h" if hours else ""
        return f"{days}d{rest}"
    if hours:
        return f"{hours}h{minutes:02}m" + (f"{whole % 60:02}s" if whole % 60 else "")
    if minutes:
        return f"{minutes}m{whole % 60:02}s" if whole % 60 else f"{minutes}m"
    return f"{whole}s"
