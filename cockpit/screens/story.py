"""Journal entries as events that a person reads."""

from __future__ import annotations

from pathlib import PurePath
from typing import TypeAlias

from cockpit.widgets.render_alarms import place, sentence
from cockpit.widgets.render_events import Event, Tone
from cockpit.widgets.units import gib, short_seconds
from trainer.contract.messages import (
    Ack,
    Acknowledged,
    Alarm,
    Checkpoint,
    Command,
    Dropped,
    End,
    Entry,
    Eval,
    Failure,
    Hello,
    Launch,
    Log,
    Phase,
    Supervisor,
)

DONE = {
    "pause": "paused after step {step}",
    "resume": "resumed after step {step}",
    "checkpoint": "checkpoint done after step {step}",
    "stop": "stopped after step {step}",
    "set": "set from step {step} on",
}
_PHASES: dict[str, tuple[Tone, str]] = {
    "loading": ("note", "loading"),
    "compiling": ("note", "compiling"),
    "stopping": ("note", "stopping after step {step}"),
    "done": ("good", "done after step {step}"),
}
_Told: TypeAlias = tuple[Tone, str] | tuple[Tone, str, str] | None
_LEVELS: dict[str, Tone] = {"warning": "warning", "error": "bad"}


def event_of(entry: Entry) -> Event | None:
    """The event that an entry is, or None for one that is only figures or noise."""
    told = _told(entry)
    if told is None:
        return None
    tone, text, *advice = told
    return Event(entry.time, tone, text, *advice)


def _told(entry: Entry) -> _Told:  # noqa: PLR0911 - a table
    match entry:
        case Phase() if entry.phase in _PHASES:
            tone, text = _PHASES[entry.phase]
            detail = f": {entry.detail}" if entry.detail else ""
            return tone, text.format(step=entry.step) + detail
        case Failure():
            return "bad", failure_text(entry), entry.advice
        case Checkpoint():
            return _checkpoint(entry)
        case Ack() if entry.state == "done":
            return "good", done_text(entry)
        case Ack() if entry.state == "refused":
            return "warning", f"{entry.command} refused: {entry.reason}"
        case Log() if entry.level in _LEVELS:
            who = f"rank {entry.rank}: " if entry.rank is not None else ""
            return _LEVELS[entry.level], who + entry.text
        case Eval():
            loss = "not finite" if entry.loss is None else f"{entry.loss:.4f}"
            return "note", f"evaluation after step {entry.step}: loss {loss}"
        case Alarm():
            return _alarm(entry)
        case _:
            return _process(entry)


def _process(entry: Entry) -> _Told:  # noqa: PLR0911 - a table
    match entry:
        case Launch():
            start = "from the start"
            if entry.checkpoint:
                start = f"from {PurePath(entry.checkpoint).name}"
            return "note", f"attempt {entry.attempt or 1} launched {start} ({entry.reason})"
        case Hello():
            n, active = entry.model.parameters, entry.model.trainable
            return "quiet", (
                f"{entry.world} rank{'s' * (entry.world != 1)}, {entry.model.layers} layers × "
                f"{entry.model.experts} experts, {n:,} parameters, {active:,} trained"
            )
        case Command():
            return "quiet", _command(entry)
        case Acknowledged():
            where = "" if entry.layer is None else f" layer {entry.layer}"
            return "quiet", f"alarm {entry.rule}{where} acknowledged by {entry.by}"
        case Supervisor():
            text = f" — {entry.text}" if entry.text else ""
            if entry.state == "restarting":
                return "warning", f"restarting{text}"
            return "quiet", f"supervisor {entry.state.replace('-', ' ')}, pid {entry.pid}{text}"
        case End():
            tone: Tone = "bad" if entry.state == "failed" else "good"
            return tone, f"run {entry.state} after step {entry.step}: {entry.reason}"
        case Dropped():
            return "warning", f"{entry.count:,} messages dropped: nobody read the pipe"
        case _:
            return None


def failure_text(failure: Failure) -> str:
    """What broke, and in which rank where the text does not name it."""
    named = failure.rank is None or f"rank {failure.rank}" in failure.text
    return failure.text if named else f"rank {failure.rank}: {failure.text}"


def done_text(ack: Ack) -> str:
    """What a command has done: `paused after step 41`."""
    text = DONE.get(ack.command, f"{ack.command} done after step {{step}}").format(step=ack.step)
    return f"{text} ({ack.reason})" if ack.reason else text


def _checkpoint(entry: Checkpoint) -> tuple[Tone, str] | None:
    name = PurePath(entry.path).name or f"step {entry.step}"
    reason = f": {entry.reason}" if entry.reason else ""
    match entry.state:
        case "saved":
            took = short_seconds(entry.seconds)
            return "good", f"checkpoint {name} saved in {took}, {gib(entry.bytes)}"
        case "failed":
            return "bad", f"checkpoint {name} failed{reason}"
        case "rejected":
            return "warning", f"checkpoint {name} is not good and is passed over{reason}"
        case "restored":
            return "good", f"training goes on from checkpoint {name}"
        case _:
            return None


def _alarm(entry: Alarm) -> tuple[Tone, str]:
    if entry.state == "cleared":
        return "good", f"over: {place(entry)} ({entry.rule.replace('-', ' ')})"
    tones: dict[str, Tone] = {"note": "note", "warning": "warning", "critical": "bad"}
    return tones[entry.severity], f"{entry.severity}: {sentence(entry)}"


def _command(entry: Command) -> str:
    what = entry.command
    if what == "set" and "key" in entry.arguments:
        what += f" {entry.arguments['key']} = {entry.arguments.get('value')}"
    return f"{what} asked for by {entry.by}"
