"""The help screen: panels, keys, states."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from cockpit.screens.painted import Painted
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.grid import Grid, Ink, title
from cockpit.widgets.render_events import wrap
from cockpit.widgets.render_header import state_mark

KEYS = (
    ("p", "pause after the step that runs; again: continue"),
    ("c", "write a checkpoint after the step that runs"),
    ("r", "continue a paused run; start a stopped, failed or lost one again from its newest "
          "good checkpoint"),
    ("s", "stop: asks whether to write a checkpoint first"),
    ("d  q", "detach: leave the screen, the run goes on; l4cockpit attach comes back. Closing the "
             "terminal or losing the line does the same, and so does ctrl+c"),
    ("1 … 5", "loss, experts, memory, events, or gradient norm and speed alone; again: all"),
    ("tab", "the next chart, or the experts, gets the keys: each has its own, with which ? then "
            "begins. esc: none has them"),
    ("↑ ↓", "look further back in the events; end: newest"),
    ("a", "alarms: see, acknowledge, mute"),
    ("v", "turn a live knob, such as the learning-rate scale (asks)"),
    ("w  W", "of several terminals one has the controls: w asks for them or gives them, W keeps "
             "them; unanswered they pass in 15 s"),
    ("t", "what the ranks printed: followed, by rank and level, searched, with its failures and "
          "alarms"),
    ("?", "this page; any of ? q esc leaves it"),
    ("ctrl+t", "light or dark colours"),
    ("ctrl+p", "all commands by name"),
)  # fmt: skip
CHART_KEYS = (
    ("/", "choose what the chart draws, by some letters of its name: any number of the journal"),
    ("o", "lay other runs over this one; chosen again, one is taken away"),
    ("enter", "this chart alone over the screen, or back"),
    ("← →", "crosshair: the next point; with shift ten cells on; esc puts it away"),
    ("↑ ↓", "zoom (also + −) around the crosshair, else the newest point"),
    ("< >", "pan (also h l); home: the start; end: the newest, and go on with it; 0: all"),
    ("x", "x axis: steps, tokens, time since the start; the same part stays in view"),
    ("y", "logarithmic or linear y axis"),
    ("e", "smoothing: 1, 4, 15 % of what is seen, none. A zoom shows more detail"),
    ("u", "y axis up to the first steps of a long run, which are cut off otherwise"),
    ("[ ]", "the metric before, the next"),
    ("mouse", "point for the crosshair, click to leave it; wheel: zoom, with shift pan; drag: pan; "
              "double click: all"),
)  # fmt: skip
HEAT_KEYS = (
    ("← ↑ ↓ →", "the pointer: below the map stand that expert's tokens, share, trend and alarms"),
    ("n  N", "the next expert (the one before) with an alarm; without alarms: with a mark"),
    ("enter", "that layer: experts over time at the left, their shares at the right; again: back"),
    ("[ ]", "back and on through the run, window by window; { } by a twentieth; home: its start; "
            "end: live again. In a layer also ← →"),
    ("u", "how far each expert's weights moved, or its share of the tokens"),
    ("z", "one cell for each expert, with figures, scrolled; or all of them at once, folded"),
    ("mouse", "click: the pointer, and once more: that layer; a layer's name: the same; on the "
              "line of time: that moment. Wheel: the pointer, or time"),
    ("esc", "out of the layer, out of the past, out of the panel"),
)  # fmt: skip
HOME_KEYS = (
    ("enter", "open the run, live or from its journal; on a preset: its values, then start"),
    ("space", "mark the run; enter then opens one with the curves of the marked ones laid over it"),
    ("/", "filter: every word must be in name, preset or state; esc: all runs; again: no marks"),
    ("s  S", "sort by the next column; the other way round"),
    ("t", "the run's log"),
    ("n", "call the run something else, also while it trains; its folder keeps its name"),
    ("x", "delete a run that is over, with its checkpoints (asks). What lives is never deleted, "
          "nor anything outside the run's folder"),
)  # fmt: skip
LOG_KEYS = (
    ("↑ ↓", "line by line, and space, pgup, pgdn, home; ← → for long lines; end or f: follow"),
    ("/", "search all of the log, however long; n, N: on, back"),
    ("l", "warnings and errors; errors alone; all. A traceback is an error as a whole"),
    ("r  R", "the lines of one rank, of torchrun, of all"),
    ("[ ]", "the failure or alarm before, after: with the lines that belong to it"),
    ("c", "the step of that failure or alarm in the chart"),
)  # fmt: skip
FORM_KEYS = (
    ("↑ ↓", "choose a value, also tab; type to change it. It is checked at once, with all others"),
    ("← →", "the next of the values that a key can have, where they are few"),
    ("ctrl+u", "clear; ctrl+r: what the preset says"),
    ("enter", "to the start, and there: start; where something is wrong: to that"),
    ("esc", "start nothing"),
)  # fmt: skip
STATES = (
    ("starting", "the processes are being started"),
    ("loading", "they load the model and the data"),
    ("training", "steps are made"),
    ("checkpointing", "a checkpoint is being written"),
    ("evaluating", "the loss on held-out data is measured"),
    ("paused", "no step is made until you continue, however long that takes"),
    ("stopping", "it ends at the next step boundary"),
    ("restarting", "something died; it starts again from the newest good checkpoint by itself"),
    ("done", "all steps are made"),
    ("stopped", "it was asked to stop; r goes on"),
    ("failed", "it broke more often than restart.max allows; r tries again"),
    ("lost", "its processes are gone and left no word, as after a power cut; r goes on"),
)
PANELS = (
    ("charts", "every point counts: the band (blue) reaches from the lowest to the highest of a "
               "column, the line in it is smoothed. Several runs, ranks or parts have a letter, "
               "at the end of the line and above. ✕ at the top: a value that is no number. ↻ on "
               "the axis: a later attempt went on from there. Under a crosshair: the smoothed "
               "figure and the range, or the one point's value"),
    ("experts", "tokens that each expert of a layer got, relative to an even share: 1.0 is even. "
                "Blue: fewer, red: more. ✕ got none, ▽ less than half, ▲ more than 3.2 times, "
                "! has an alarm. Counts are exact; where a map is folded, a cell shows the most "
                "uneven of its experts, first of all one with an alarm. Movement (u): how far an "
                "expert's trained weights moved, relative to the median; Ø got tokens and yet did "
                "not move, · has nothing to train"),
    ("memory", "who holds each device, the host's memory, training state that lies off the "
               "devices, and what a step's time goes into; its glyphs are explained below"),
    ("alarms", "the worst is on the first line. i note, ! warning, !! critical. An expert: below "
               "0.8 or above 2 times the even share, 0.5 or 3.2, dead or above 6 (alarms.* of the "
               "configuration); a loss that is not finite"),
    ("events", "launches, checkpoints, failures, answers to commands, warnings of the trainer"),
)  # fmt: skip
MEMORY = (
    ("█ ▓", "allocated by the run; reserved by its allocator beyond that, for use again. On CPU: a "
            "rank's resident memory, against the host's"),
    ("▒ ░", "CUDA's own for the run; other processes. Where the driver does not tell whose it is "
            "(in most containers) CUDA's own is among the others"),
    ("· │", "free; the highest that was allocated since the start"),
    ("!", "with its peak and what others hold, the device is over 90 % full (yellow); over 97 % "
          "the next peak may fail (red)"),
    ("map", "where there are more devices than rows: each with that percentage, ▸ the worst, which "
            "is told below"),
    ("% °C W", "how busy, how hot, at what power of what limit: of GPUs on the supervisor's host. "
               "NA: no such sensor"),
    ("host", "█ the ranks' processes, ░ all else"),
    ("offload", "training state in the RAM of all hosts, and how much of that RAM is pinned"),
    ("NVMe", "training state on disk, the ranks' rates together, and of what part of the time the "
             "slowest rank stands still for it"),
    ("step", "seconds of a step and what they go into, mean of the newest 20, as rank 0 spends "
             "them. offload: standing still for the disk; copies to and from the host's memory are "
             "within the others"),
    ("disk", "space left for the run directory, and what its ranks read and write on any disk"),
)  # fmt: skip
_SECTIONS = {
    "": ("keys", KEYS), "states": ("states", STATES), "panels": ("panels", PANELS),
    "charts": ("keys of a chart (1, 5)", CHART_KEYS),
    "experts": ("keys of the experts (2)", HEAT_KEYS), "memory": ("memory (3)", MEMORY),
    "home": ("keys of the home screen", HOME_KEYS), "log": ("keys of the log", LOG_KEYS),
    "launch": ("keys of the values before a start", FORM_KEYS),
}  # fmt: skip
"""What each topic (TOPIC of a panel or a screen, Dashboard.topic) is about."""


class Page(Canvas):
    """The text, scrolled."""

    def __init__(self, topic: str) -> None:
        super().__init__(id="page")
        self.topic, self.top = topic, 0

    def draw(self, width: int, height: int) -> Grid:
        """What is seen of it."""
        text = page(width, self.topic)
        self.top = max(0, min(self.top, text.height - height))
        grid = Grid(width, height)
        shown = Grid(width, min(height, text.height))
        shown.chars = text.chars[self.top : self.top + height]
        shown.inks = text.inks[self.top : self.top + height]
        grid.paste(0, 0, shown)
        return grid


def page(width: int, topic: str = "") -> Grid:
    """All of the help for a width, what is about a topic first."""
    grid = Grid(width, 400)
    row = 0
    for _, (heading, pairs) in sorted(_SECTIONS.items(), key=lambda item: item[0] != topic):
        head = Grid(width, 1)
        title(head, heading)
        grid.paste(row, 0, head)
        row += 1
        for name, text in pairs:
            if heading == "states":
                mark, ink = state_mark(name)
                grid.put(row, 2, f"{mark} {name}", ink)
            else:
                grid.put(row, 2, name, Ink.KEY)
            for line in wrap(text, width - 20, 20):
                grid.put(row, 18, line)
                row += 1
        row += 1
    grid.chars, grid.inks = grid.chars[:row], grid.inks[:row]
    return grid


class Help(Painted[None]):
    """What everything means."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d,question_mark", "close", "Back"),
        Binding("up,k", "scroll_by(-1)", show=False),
        Binding("down,j", "scroll_by(1)", show=False),
        Binding("pageup", "scroll_by(-10)", show=False),
        Binding("pagedown,space", "scroll_by(10)", show=False),
    ]

    def __init__(self, topic: str = "") -> None:
        super().__init__()
        self._topic = topic

    def compose(self) -> ComposeResult:
        """The page."""
        yield Page(self._topic)

    def action_close(self) -> None:
        """Back to the screen before."""
        self.dismiss()

    def action_scroll_by(self, lines: int) -> None:
        """Up and down."""
        shown = self.query_one(Page)
        shown.top += lines
        shown.redraw()
