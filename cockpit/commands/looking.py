"""`ps`, `status`, `events`, `logs`, `presets`, `attach` and home: look, and change nothing."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from cockpit import client, journal, runs, state
from cockpit.commands.launching import has_terminal
from cockpit.commands.output import DONE, USAGE, Problem, Screen, say, say_json, say_raw, tell
from cockpit.commands.wording import clock, duration, event, progress
from cockpit.runs import Run
from cockpit.state import RunState
from trainer.contract import messages, presets

_POLL = 0.3
_REVIVE_EVERY = 2.0


def home(options: argparse.Namespace) -> Screen:
    """`l4cockpit` alone: the home screen."""
    if not has_terminal():
        raise Problem(USAGE, "no terminal for the screen; use: l4cockpit ps, or l4cockpit --help")
    return Screen(runs.runs_root(options.runs_dir), None, False)


def attach(options: argparse.Namespace) -> Screen:
    """`l4cockpit attach`: the dashboard of a run."""
    run = _find(options)
    if not has_terminal():
        raise Problem(
            USAGE, f"no terminal for the screen; use: l4cockpit events --follow {run.name}"
        )
    return Screen(run.path.parent, run, options.readonly)


def ps(options: argparse.Namespace) -> int:
    """`l4cockpit ps`: all runs, newest first."""
    root = runs.runs_root(options.runs_dir)
    found = runs.all_runs(root) if options.run is None else [runs.find(root, options.run)]
    rows = [(run, state.glance(run)) for run in found]
    if options.json:
        say_json([_row(run, now) for run, now in rows])
        return DONE
    if not rows:
        tell(f"no runs in {root}; start one with: l4cockpit run tiny")
        return DONE
    table = [("NAME", "STATE", "STEP", "LOSS", "PRESET", "STARTED", "HOST")]
    table += [
        (
            run.name,
            now.state,
            f"{now.step}/{now.steps or '?'}",
            "" if now.loss is None else f"{now.loss:.4f}",
            run.preset,
            f"{datetime.fromtimestamp(run.created):%Y-%m-%d %H:%M}",
            run.host,
        )
        for run, now in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return DONE


def _row(run: Run, now: RunState) -> dict[str, Any]:
    return {
        **_identity(run),
        "state": now.state,
        "detail": now.detail,
        "step": now.step,
        "steps": now.steps,
        "loss": now.loss,
        "updated": now.updated,
    }


def _identity(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "preset": run.preset,
        "path": str(run.path),
        "created": run.created,
        "host": run.host,
    }


def status(options: argparse.Namespace) -> int:
    """`l4cockpit status`: one run in some lines."""
    run = _find(options)
    _revive(run)
    show = _status_json if options.json else _status_text
    now = state.current(run)
    show(run, now)
    while options.follow and not now.over:
        time.sleep(1.0)
        _revive(run)
        seq, now = now.seq, state.current(run)
        if now.seq != seq:
            show(run, now)
    return DONE


def _status_json(run: Run, now: RunState) -> None:
    info = runs.supervisor_info(run)
    supervisor = None
    if info is not None:
        supervisor = {"pid": info.pid, "host": info.host, "alive": runs.supervisor_alive(info)}
    say_json({**_identity(run), "supervisor": supervisor, **now.as_json()})


def _status_text(run: Run, now: RunState) -> None:
    since = f" for {duration(time.time() - now.since)}" if now.since and not now.over else ""
    say(f"{run.name}: {now.state}{since}" + (f" ({now.detail})" if now.detail else ""))
    say(f"  {progress(now)}")
    if now.last_checkpoint:
        say(f"  newest checkpoint: step {now.last_checkpoint.step}")
    for alarm in now.alarms.raised.values():
        say(f"  {alarm.severity}: {alarm.text or alarm.rule}" + (" (when it ended)" * now.over))
    for pending in now.pending.values():
        say(f"  {pending.name}: {pending.state}, not done yet")
    if now.last_failure:
        say(f"  last failure: {now.last_failure.text}")
        if now.last_failure.advice:
            say(f"    {now.last_failure.advice}")
    info = runs.supervisor_info(run)
    if info is not None and not runs.is_here(info) and not now.over:
        say(f"  lives on host {info.host}")
    say(f"  {run.path}")


def events(options: argparse.Namespace) -> int:
    """`l4cockpit events`: the journal, in lines for people or as it is."""
    run = _find(options)
    _revive(run)
    tail = journal.LineTail(run.journal)
    for lines in _grow(run, tail, options.follow):
        if options.json:
            say_raw(b"".join(line + b"\n" for line in lines if journal.seq_of(line)))
        else:
            shown = [
                f"{clock(entry.time)}  {text}\n"
                for entry in messages.decode_entries(lines)
                if (text := event(entry)) is not None
            ]
            say_raw("".join(shown).encode())
    return DONE


def logs(options: argparse.Namespace) -> int:
    """`l4cockpit logs`: what torchrun and its ranks printed."""
    run = _find(options)
    _revive(run)
    tail = journal.LineTail(run.log)
    for lines in _grow(run, tail, options.follow):
        if options.json:
            texts = ({"text": line.decode(errors="replace")} for line in lines)
            say_raw(b"".join(msgspec.json.encode(text) + b"\n" for text in texts))
        else:
            say_raw(b"".join(line + b"\n" for line in lines))
    return DONE


def _grow(run: Run, tail: journal.LineTail, follow: bool) -> Iterator[list[bytes]]:
    """The lines of a file, and with follow those to come until the run is over."""
    yield from tail.chunks()
    if not follow:
        return
    seen, now, due = journal.Tail(run.journal), RunState(), 0.0
    while True:
        for entry in seen.read_new():
            now.apply(entry)
        yield from tail.chunks()
        if now.over:
            return
        if now.state != "starting" and time.monotonic() >= due:
            _revive(run)
            due = time.monotonic() + _REVIVE_EVERY
        time.sleep(_POLL)


def list_presets(options: argparse.Namespace) -> int:
    """`l4cockpit presets`: what can be run."""
    rows = [(name, presets.resolve(name).description) for name in presets.names()]
    if options.json:
        say_json([{"name": name, "description": text} for name, text in rows])
        return DONE
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        say(f"{name.ljust(width)}  {text}")
    return DONE


def _find(options: argparse.Namespace) -> Run:
    return runs.find(runs.runs_root(options.runs_dir), options.run)


def _revive(run: Run) -> None:
    """Give a run whose supervisor died another one; looking works without, too."""
    info = runs.supervisor_info(run)
    if info is None or not runs.is_here(info) or runs.supervisor_alive(info):
        return
    try:
        asyncio.run(client.ensure_supervisor(run))
    except (client.NoSupervisor, OSError) as error:
        tell(f"{run.name} has no supervisor, and none could be started: {error}")
