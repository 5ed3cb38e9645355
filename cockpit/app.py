"""The Textual application: screens and global keys."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # read when Textual is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is; nothing here multiplies

from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.screen import Screen

from cockpit import ringing, terminal
from cockpit.runs import Run
from cockpit.screens.curtain import Curtain
from cockpit.screens.themes import THEMES
from cockpit.settings import Settings
from cockpit.widgets.paper import PaperApp

if TYPE_CHECKING:
    from cockpit.screens.dashboard import Dashboard


def _actions() -> type[Provider]:
    """What the command palette offers."""
    from cockpit.screens.actions import Actions  # noqa: PLC0415 - only when it is opened

    return Actions


class Cockpit(PaperApp[int]):
    """Opens one run, or the home screen."""

    CSS_PATH = "styles/cockpit.tcss"
    TITLE = "l4cockpit"
    COMMANDS = {_actions}  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "detach", "Detach", show=False, priority=True),
        Binding("question_mark", "help", "Help", id="help"),
        Binding("ctrl+l", "paint", "Paint the screen anew", show=False),
        Binding("ctrl+t", "switch_theme", "Light or dark colours", id="theme"),
    ]

    def __init__(
        self, root: Path, run: Run | None, readonly: bool = False,
        settings: Settings | None = None,
    ) -> None:  # fmt: skip
        # The panels' colours are of the 256; without this Textual makes true colours of them.
        super().__init__(ansi_color=True)
        self._root, self._readonly, self._run = root, readonly, run
        self.settings = settings or Settings()
        self.muted = self.settings.mute == "true" or bool(os.environ.get("L4COCKPIT_MUTED"))
        """Whether alarms neither ring nor show notifications."""
        self.dashboard: Dashboard | None = None
        """The screen of the run that was asked for, once it is loaded."""
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[terminal.in_use().theme].name
        for name, key in self.settings.keys.items():
            (named,) = Binding.make_bindings([Binding(key, name)])
            self.update_keymap({name: named.key})

    def get_driver_class(self) -> type[Driver]:
        """Textual's own choice; where that is the terminal's, one of fewer bytes."""
        chosen = super().get_driver_class()
        if chosen.__name__ != "LinuxDriver":
            return chosen
        from cockpit.driver import LeanDriver  # noqa: PLC0415 - Textual imports drivers late, too

        return LeanDriver

    def get_default_screen(self) -> Screen[None]:
        """The run's dashboard, or home; until that is loaded, a frame."""
        module = "cockpit.screens.home" if self._run is None else "cockpit.screens.dashboard"
        if module in sys.modules:
            return self._first()
        mark, name, note = "l4cockpit", "", "fine-tuning Llama 4"
        if self._run is not None:
            mark, name, note = "◌ opening", self._run.name, self._run.preset
        return Curtain(mark, name, note, module, self._rise)

    def _first(self) -> Screen[None]:
        if self._run is None:
            from cockpit.screens.home import Home  # noqa: PLC0415 - slow to import

            return Home(self._root, self._readonly)
        from cockpit.screens.dashboard import Dashboard  # noqa: PLC0415 - slow to import

        self.dashboard = Dashboard(self._run, self._readonly)
        return self.dashboard

    async def _rise(self, keys: list[str]) -> None:
        await self.push_screen(self._first())  # a first screen cannot be switched
        gc.freeze()
        gc.enable()
        for key in keys:
            self.simulate_key(key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While screens are being loaded one can leave, and no more."""
        loading = isinstance(self.screen, Curtain) if self.screen_stack else True
        return not loading or action in ("detach", "quit")

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

    def action_switch_theme(self) -> None:
        """Dark on light, or light on dark."""
        self.theme = THEMES[terminal.switch_theme()].name
        self.screen.refresh()

    def action_detach(self) -> None:
        """Leave the screen: back to the one before, or out of the program. No run is touched."""
        below = self.screen_stack[:-1]
        if below and not isinstance(below[-1], Curtain):
            self.pop_screen()
        else:
            self.exit(0)

    def action_help(self) -> None:
        """What everything means."""
        from cockpit.screens.help import Help  # noqa: PLC0415 - seldom wanted

        topic = getattr(self.screen, "topic", "")
        if not isinstance(self.screen, Help):
            topic = getattr(self.screen.focused, "TOPIC", "") or topic
            self.push_screen(Help(topic or getattr(self.screen, "TOPIC", "")))


def run_app(
    root: Path, run: Run | None, readonly: bool = False, settings: Settings | None = None
) -> int:
    """Show a run, or the home screen for None, until the user leaves; the exit status. Afterwards
    stdout says how to come back. 1 if the run was seen to fail, else 0."""
    app = Cockpit(root, run, readonly, settings)
    app.run()
    status = app.return_code or 0
    if run is None:
        return status
    if app.dashboard is None or not (state := app.dashboard.picture.state).over:
        sys.stdout.write(f"run {run.name} goes on; l4cockpit attach {run.name} comes back to it\n")
        return status
    sys.stdout.write(f"run {run.name} is {state.state} after step {state.step}\n")
    return 1 if state.state == "failed" and app.dashboard.was_live else status
