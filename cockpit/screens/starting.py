"""Starting a preset from a screen: its form, the run directory, the supervisor, the dashboard."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.app import App

from cockpit import runs
from cockpit.client import NoSupervisor, start_supervisor
from cockpit.runs import RunError
from cockpit.screens.dashboard import Dashboard
from cockpit.screens.launch import Launch
from cockpit.screens.tidy import Say
from trainer.contract.config import ConfigError


async def start(app: App[int], root: Path, preset: str, say: Say) -> None:
    """Have the user look at the values, then start and show the run; what goes wrong is said."""
    try:
        form = Launch(root, preset)
    except ConfigError as error:
        say("bad", str(error))
        return
    wanted = await app.push_screen_wait(form)
    if wanted is None:
        return
    say("note", f"starting {preset}…")
    try:
        run = await asyncio.to_thread(runs.create, root, preset, wanted.config, wanted.name)
        await start_supervisor(run)
    except (NoSupervisor, RunError, OSError) as error:
        say("bad", f"{preset} was not started: {error}")
        return
    say("good", f"started {run.name}")
    app.push_screen(Dashboard(run))
