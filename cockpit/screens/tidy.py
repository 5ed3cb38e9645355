"""Renaming and deleting a run from a screen: the questions, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.app import App

from cockpit import manage, runs
from cockpit.runs import Run, RunError
from cockpit.screens.ask import Ask
from cockpit.screens.prompt import Prompt
from cockpit.widgets.render_events import Tone
from cockpit.widgets.units import gib

Say = Callable[[Tone, str], None]
"""Shows a line about what was done, or why it was not."""


def rename(app: App[int], run: Run, say: Say) -> None:
    """Ask for another name, and give it."""

    def wrong(name: str) -> str:
        try:
            runs.check_name(run.path.parent, name, run)
        except RunError as error:
            return str(error)
        return ""

    def answered(name: str | None) -> None:
        if not name or name == run.name:
            return
        try:
            manage.rename(run, name)
            say("good", f"{run.name} is called {name} now")
        except (RunError, OSError) as error:
            say("bad", f"{run.name} was not renamed: {error}")

    app.push_screen(Prompt(f"Call {run.name}", run.name, wrong), answered)


async def delete(app: App[int], root: Path, run: Run, say: Say) -> None:
    """Ask, and remove the run with all that is in its folder; what lives is refused at once."""
    if why := await asyncio.to_thread(manage.alive, run):
        say("warning", f"{run.name} is not deleted: {why}")
        return
    size = gib(await asyncio.to_thread(manage.size, run))
    lines = [f"{run.path}", f"{size}: checkpoints, journal and logs. They cannot be brought back."]
    answers = [("esc", "", "keep it"), ("y", "delete", f"delete {run.name}")]
    if await app.push_screen_wait(Ask(f"Delete {run.name}?", lines, answers)) != "delete":
        return
    say("note", f"deleting {run.name}…")
    try:
        await asyncio.to_thread(manage.delete, root, run)
        say("good", f"{run.name} is deleted, {size}")
    except RunError as error:
        say("warning", str(error))
    except OSError as error:
        say("bad", f"{run.name} could not be deleted: {error}")
