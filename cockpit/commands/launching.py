"""`run`: make a run, start it, and watch it, print it or leave it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cockpit import client, runs
from cockpit.commands.output import CANNOT, DONE, FAILED, INTERRUPTED, USAGE, Problem, Screen, say
from cockpit.runs import BadName, Run
from trainer.contract import presets
from trainer.contract.config import ConfigError

_NEEDED = ("torch", "transformers", "deepspeed", "peft")


def run(options: argparse.Namespace) -> int | Screen:
    """`l4cockpit run PRESET`."""
    made = _make(options)
    try:
        asyncio.run(client.start_supervisor(made))
    except client.NoSupervisor as error:
        raise Problem(FAILED, f"{made.name} could not be started: {error}") from None
    except KeyboardInterrupt:
        text = f"{made.name} may be starting; to end it: l4cockpit stop {made.name}"
        raise Problem(INTERRUPTED, text) from None
    if options.detach:
        say(made.id)
        return DONE
    if options.headless or not has_terminal():
        from cockpit.commands.headless import follow  # noqa: PLC0415 - only where it is wanted

        return follow(made)
    return Screen(made.path.parent, made, False)


def _make(options: argparse.Namespace) -> Run:
    try:
        config = presets.resolve(options.preset, options.set or ())
    except ConfigError as error:
        raise Problem(USAGE, str(error)) from None
    _check_installed()
    root = runs.runs_root(options.runs_dir)
    try:
        return runs.create(root, presets.title(options.preset), config, options.name)
    except BadName as error:
        raise Problem(USAGE, str(error)) from None
    except OSError as error:
        raise Problem(FAILED, f"no run can be made in {root}: {error.strerror or error}") from None


def _check_installed() -> None:
    """A plain install is the client; say so before a run directory is made for nothing."""
    if os.environ.get("L4COCKPIT_TEST_TRAINER"):
        return
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise Problem(
            CANNOT,
            f"training needs {', '.join(missing)}, not installed in {Path(sys.prefix)}: "
            "pip install 'l4cockpit[train]'",
        )


def has_terminal() -> bool:
    """Whether there is someone to show a screen to: at a terminal, or (as textual-serve says by a
    driver of its own) in a browser."""
    return bool(os.environ.get("TEXTUAL_DRIVER")) or (sys.stdin.isatty() and sys.stdout.isatty())
