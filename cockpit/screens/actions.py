"""The command palette: every action of the screen and its panels, and what the screen adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen

from cockpit.widgets.canvas import Canvas

_NOT_OURS = (
    *("app.focus_next", "app.focus_previous", "screen.copy_text", "command_palette"),
    *("app.command_palette", "screen.minimize", "screen.maximize"),
)
"""Keys that every Textual program has, and that are no actions upon a run."""


class Action(NamedTuple):
    """name is searched; about says which key does the same, or more."""

    name: str
    about: str
    run: Callable[[], Any]


class Actions(Provider):
    """Finds actions by some letters of their names."""

    async def startup(self) -> None:
        """Look what there is."""
        self._actions = list(actions(self.screen))

    async def discover(self) -> Hits:
        """All of them."""
        for action in self._actions:
            yield DiscoveryHit(action.name, action.run, help=action.about)

    async def search(self, query: str) -> Hits:
        """Those with these letters."""
        matcher = self.matcher(query)
        for action in self._actions:
            if (score := matcher.match(action.name)) > 0:
                shown = matcher.highlight(action.name)
                yield Hit(score, shown, action.run, text=action.name, help=action.about)


def actions(screen: Screen[Any]) -> Iterator[Action]:
    """Every described key of the screen, of the panel that has the keys, and of the application;
    of each other kind of panel that is seen; and what the screen has besides keys (its method
    `more_actions`)."""
    told: set[str] = set()
    for active in screen.active_bindings.values():
        yield from _action(screen, active.node, active, told)
    kinds: set[type[Canvas]] = set()
    for panel in screen.query(Canvas):
        if panel.can_focus and panel.display and type(panel) not in kinds:
            kinds.add(type(panel))
            for _, found in panel._bindings:
                active = ActiveBinding(panel, found, True, "")
                yield from _action(screen, panel, active, told)
    more = getattr(screen, "more_actions", None)
    if more is not None:
        yield from more()


def _action(
    screen: Screen[Any], node: DOMNode, active: ActiveBinding, told: set[str]
) -> Iterator[Action]:
    binding = active.binding
    if not binding.description or binding.description in told or binding.action in _NOT_OURS:
        return
    told.add(binding.description)

    async def run() -> None:
        if isinstance(node, Canvas):
            screen.set_focus(node)
        await screen.app.run_action(binding.action, node)

    key = screen.app.get_key_display(binding)
    yield Action(binding.description, f"key {key}", partial(screen.app.call_later, run))
