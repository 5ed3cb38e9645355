"""The help screen: panels, keys, states."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

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
    ("↑ ↓", "look further back in the events; end: newest"),
    ("?", "this page; any of ? q esc leaves it"),
    ("ctrl+p", "all commands by name"),
)  # fmt: skip
CHART_KEYS = (
    ("/", "choose what the chart draws, by some letters of its name: any number of the journal"),
    ("o", "lay other runs over this one; chosen again, one is taken away"),
    ("tab", "the next panel gets these keys; enter: a chart alone over the screen, or back"),
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
                "Blue: fewer, red: more. ✕ got none, ▽ less than half, ▲ more than 3.2 times. "
                "Counts are exact; where a map is folded, a cell shows the most uneven of its "
                "experts"),
    ("memory", "per rank: what its device holds (on CPU: its resident memory), the host's RAM, and "
               "the training state that lies off the device"),
    ("events", "launches, checkpoints, failures, answers to commands, warnings of the trainer"),
)  # fmt: skip
_SECTIONS = (("keys", KEYS), ("states", STATES), ("panels", PANELS), ("charts", CHART_KEYS))


class Page(Canvas):
    """The text, scrolled."""

    TILES = 1

    def __init__(self) -> None:
        super().__init__(id="page")
        self.top = 0

    def draw(self, width: int, height: int) -> Grid:
        """What is seen of it."""
        text = page(width)
        self.top = max(0, min(self.top, text.height - height))
        grid = Grid(width, height)
        shown = Grid(width, min(height, text.height))
        shown.chars = text.chars[self.top : self.top + height]
        shown.inks = text.inks[self.top : self.top + height]
        grid.paste(0, 0, shown)
        return grid


def page(width: int) -> Grid:
    """All of the help for a width."""
    grid = Grid(width, 200)
    row = 0
    for heading, pairs in _SECTIONS:
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
            for line in wrap(text, width - 20, 9):
                grid.put(row, 18, line)
                row += 1
        row += 1
    grid.chars, grid.inks = grid.chars[:row], grid.inks[:row]
    return grid


class Help(Screen[None]):
    """What everything means."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d,question_mark", "close", "Back"),
        Binding("up,k", "scroll_by(-1)", show=False),
        Binding("down,j", "scroll_by(1)", show=False),
        Binding("pageup", "scroll_by(-10)", show=False),
        Binding("pagedown,space", "scroll_by(10)", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The page."""
        yield Page()

    def action_close(self) -> None:
        """Back to the screen before."""
        self.dismiss()

    def action_scroll_by(self, lines: int) -> None:
        """Up and down."""
        shown = self.query_one(Page)
        shown.top += lines
        shown.redraw()
