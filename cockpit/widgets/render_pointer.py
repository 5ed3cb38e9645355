"""What lies under a map: all that is known of the expert under the pointer, and where in the run's
time one looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from cockpit.loads import Floats, Load, Movement, over_median, shares_of, trend
from cockpit.widgets.grid import Grid, Ink, fit
from cockpit.widgets.heat_scale import Flag, Heat, Mark
from cockpit.widgets.palette import ALARM, FALLING, RISE, RISING, STEADY
from cockpit.widgets.render_heatmap import GLYPHS
from cockpit.widgets.units import clock, number

Piece: TypeAlias = tuple[str, int]
LIVE_KEYS = "[ back  enter layer  n marks  u movement  z zoom"
PAST_KEYS = "[ ] one  { } many  end live"
_WAYS = {1: (RISING, "rising"), -1: (FALLING, "falling"), 0: (STEADY, "steady")}
_ALARM_INKS = {"note": Ink.BUSY, "warning": Ink.WARN, "critical": Ink.BAD}


class Moment(NamedTuple):
    """Where one looks: at the window that ends with `step`, in a run whose newest one ends with
    `last`; live if it is that one as it comes."""

    step: int
    last: int
    live: bool = False


def detail(
    grid: Grid, row: int, heat: Heat, source: Load | Movement, pointer: tuple[int, int],
    flags: Sequence[Flag],
) -> None:  # fmt: skip
    """One row about one expert: share, tokens, trend, alarm. What has no room is left out from the
    end, but never an alarm."""
    layer, expert = pointer
    pieces = _share(heat, layer, expert) + _trend(source, layer, expert)
    alarms = [piece for flag in flags for piece in _alarm(flag)]
    column = grid.put(row, 0, f"L{heat.layers[layer]} e{expert}  ", Ink.STRONG)
    room = grid.width - sum(len(text) for text, _ in alarms)
    for text, ink in alarms:
        column = grid.put(row, column, text, ink)
    room = grid.width - column
    for text, ink in pieces:
        if len(text.rstrip()) > room:
            break
        column = grid.put(row, column, text, ink)
        room = grid.width - column


def _share(heat: Heat, layer: int, expert: int) -> list[Piece]:
    share, mark = float(heat.share[layer, expert]), int(heat.mark[layer, expert])
    got = int(heat.got[layer, expert])
    if mark == Mark.UNKNOWN:
        nothing = "no trainable weight" if heat.kind == "updates" else "the layer saw no token"
        return [(nothing, Ink.DIM)]
    glyph = f" {GLYPHS[mark]}" if mark != Mark.NONE else ""
    if heat.kind == "updates":
        if mark == Mark.STUCK:
            text = f"{GLYPHS[mark]} did not move although it got {got:,} tokens  "
            return [(text, Ink.BAD)]
        moved = f"moved {number(float(heat.value[layer, expert]))}  "
        return [
            (moved, Ink.STRONG), (f"{share:.2f}× the median{glyph}  ", _ink(mark)),
            (f"{got:,} tokens  ", Ink.TEXT),
        ]  # fmt: skip
    if mark == Mark.DEAD:
        return [(f"0 of {int(heat.got[layer].sum()):,} tokens{glyph}  ", Ink.COLD_TEXT)]
    part = got / max(int(heat.got[layer].sum()), 1)
    return [
        (f"{share:.2f}× even{glyph}  ", _ink(mark)),
        (f"{got:,} tokens, {part:.1%} of the layer's  ", Ink.TEXT),
    ]


def _ink(mark: int) -> int:
    if mark in (Mark.DEAD, Mark.COLD):
        return Ink.COLD_TEXT
    return Ink.HOT_TEXT if mark == Mark.HOT else Ink.STRONG


def _trend(source: Load | Movement, layer: int, expert: int) -> list[Piece]:
    if isinstance(source, Movement):
        if len(source.trail) < 2:
            return []
        past = np.array([over_median(norms)[layer, expert] for norms in source.trail])
        return [(f"last {len(past)}: {bars(past)}", Ink.DIM)]
    found = trend(source, layer, expert)
    if found is None:
        return []
    if not any(counts[layer, expert] for counts in source.trail):
        return [(f"no token in the last {len(source.trail)} windows", Ink.COLD_TEXT)]
    glyph, word = _WAYS[found.way]
    ink = Ink.DIM if found.way == 0 else Ink.HOT_TEXT if found.way > 0 else Ink.COLD_TEXT
    told = f"{glyph} {word}" + (f" from {found.before:.2f}×" if found.way else "") + "  "
    return [(told, ink), (bars(shares_of(source, layer, expert)), Ink.DIM)]


def bars(values: Floats) -> str:
    """Values as a row of bars, from 0 to the highest; a blank for NaN."""
    known = values[np.isfinite(values)]
    top = float(known.max()) if len(known) else 0.0
    if top <= 0:
        return RISE[0] * len(known)
    at = np.clip(np.floor(np.nan_to_num(values) / top * len(RISE)), 0, len(RISE) - 1).astype(int)
    known_at = np.isfinite(values).tolist()
    return "".join(RISE[n] if ok else " " for n, ok in zip(at.tolist(), known_at, strict=True))


def _alarm(flag: Flag) -> list[Piece]:
    since = f" since {clock(flag.since, seconds=False)}" if flag.since else ""
    ink = _ALARM_INKS.get(flag.severity, Ink.WARN)
    return [(f"{ALARM} {flag.rule}, {flag.severity}{since}  ", ink)]


def timeline(grid: Grid, row: int, moment: Moment, reading: str = "") -> None:
    """The run's time as a line with a knob on it; where to go from there at the right."""
    where = "live" if moment.live else f"step {moment.step:,} of {moment.last:,}"
    keys = LIVE_KEYS if moment.live else PAST_KEYS
    hint = reading or keys
    start, end = line_of(grid.width)
    grid.put(row, 0, "time", Ink.DIM)
    if end - start >= 4:
        grid.put(row, start, "─" * (end - start), Ink.RULE)
        knob = start + knob_at(moment, end - start)
        grid.put(
            row,
            knob,
            "●" if moment.live else "◆",
            Ink.GOOD if moment.live else Ink.WARN,
        )
    told = f"{where}  "
    column = grid.put(row, end + 1, told, Ink.GOOD if moment.live else Ink.WARN)
    grid.put(row, column, fit(hint, grid.width - column), Ink.DIM)


def line_of(width: int) -> tuple[int, int]:
    """The columns where the line begins and ends (exclusive)."""
    return 5, max(width - min(58, width // 2), 5)


def knob_at(moment: Moment, room: int) -> int:
    """Where on a line of `room` columns the moment lies."""
    if moment.live or moment.last <= 1:
        return room - 1
    return min(max((moment.step - 1) * room // moment.last, 0), room - 1)


def part_at(column: int, width: int) -> float | None:
    """The part of the run, 0 to 1, that a column of the timeline stands for; None beside it."""
    start, end = line_of(width)
    if not start <= column < end:
        return None
    return (column - start) / max(end - start - 1, 1)
