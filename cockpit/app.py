"""The Textual application: screens and global keys."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # read when Textual is imported

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme

from cockpit import ringing
from cockpit.runs import Run
from cockpit.screens.dashboard import Dashboard

THEME = Theme(
    name="l4cockpit", primary="#5fafd7", secondary="#87d7ff", accent="#ffaf5f", warning="#ffd75f",
    error="#ff8787", success="#87d787", foreground="#d0d0d0", background="#121212",
    surface="#1c1c1c", panel="#262626", dark=True,
)  # fmt: skip


class Cockpit(App[int]):
    """Opens one run, or the home screen."""

    CSS_PATH = "styles/cockpit.tcss"
    TITLE = "l4cockpit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "detach", "Detach", show=False, priority=True),
        Binding("question_mark", "help", "Help"),
    ]

    def __init__(self, root: Path, run: Run | None, readonly: bool = False) -> None:
        # The panels' colours are of the 256; without this Textual makes true colours of them.
        super().__init__(ansi_color=True)
        self._root, self._readonly = root, readonly
        self.muted = bool(os.environ.get("L4COCKPIT_MUTED"))
        """Whether alarms neither ring nor show notifications."""
        self.dashboard = Dashboard(run, readonly) if run is not None else None
        self.register_theme(THEME)
        self.theme = THEME.name

    def get_default_screen(self) -> Screen[None]:
        """The run's dashboard, or home."""
        if self.dashboard is not None:
            return self.dashboard
        from cockpit.screens.home import Home  # noqa: PLC0415 - not needed to open a run

        return Home(self._root, self._readonly)

    def on_mount(self) -> None:
        """SIGTERM leaves the terminal as it was."""
        import asyncio  # noqa: PLC0415 - loaded by Textual already

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, 0)

    def on_commanding_ring(self, ring: Dashboard.Ring) -> None:
        """Ring the terminal's bell and show a notification."""
        if not self.muted and self._driver is not None and not self.is_headless:
            self._driver.write(ringing.ring(ring.title, ring.text, os.environ))
            self._driver.flush()

    def action_mute(self) -> None:
        """No bell and no notifications; or again."""
        self.muted = not self.muted

    def action_detach(self) -> None:
        """Leave the screen: back to the one before, or out of the program. No run is touched."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit(0)

    def action_help(self) -> None:
        """What everything means."""
        from cockpit.screens.help import Help  # noqa: PLC0415 - seldom wanted

        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the command palette offers: the described keys of the screen, and the app's."""
        for binding in screen.active_bindings.values():
            what = binding.binding
            if what.description and what.show and binding.node in (screen, self):
                action = what.action
                yield SystemCommand(
                    what.description,
                    f"key {what.key}",
                    lambda action=action, node=binding.node: self.call_later(
                        self.run_action, action, node
                    ),
                )


def run_app(root: Path, run: Run | None, readonly: bool = False) -> int:
    """Show a run, or the home screen for None, until the user leaves; the exit status. Afterwards
    stdout says how to come back. 1 if the run was seen to fail, else 0."""
    app = Cockpit(root, run, readonly)
    app.run()
    status = app.return_code or 0
    if app.dashboard is None:
        return status
    name, state = app.dashboard.run.name, app.dashboard.picture.state
    if not state.over:
        sys.stdout.write(f"run {name} goes on; l4cockpit attach {name} comes back to it\n")
        return status
    sys.stdout.write(f"run {name} is {state.state} after step {state.step}\n")
    return 1 if state.state == "failed" and app.dashboard.was_live else status
