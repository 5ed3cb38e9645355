"""What happens in a run, in one line each: shared by headless runs and `events`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cockpit.state import RunState
from trainer.contract import messages
from trainer.contract.messages import Entry


def duration(seconds: float) -> str:
    """3723 as 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def progress(state: RunState) -> str:
    """Where the training is."""
    parts = [f"step {state.step}/{state.steps or '?'}"]
    if state.loss is not None:
        parts.append(f"loss {state.loss:.4f}")
    if state.tokens_per_second:
        parts.append(f"{state.tokens_per_second:,.0f} tokens/s")
    if state.eta_seconds is not None and state.state == "training":
        parts.append(f"ETA {duration(state.eta_seconds)}")
    return "  ".join(parts)


def event(entry: Entry) -> str | None:
    """An entry for people; None for samples, which are for charts."""
    wording = _WORDINGS.get(type(entry))
    return None if wording is None else wording(entry)


def _phase(entry: messages.Phase) -> str:
    return f"{entry.phase} after step {entry.step}" + (f": {entry.detail}" if entry.detail else "")


def _step(entry: messages.Step) -> str:
    return (
        f"step {entry.step}  loss {_loss(entry.loss)}  {entry.tokens} tokens "
        f"in {entry.seconds:.3g} s"
    )


def _eval(entry: messages.Eval) -> str:
    return f"evaluated after step {entry.step}: loss {_loss(entry.loss)}"


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4f}"


def _failure(entry: messages.Failure) -> str:
    advice = f" — {entry.advice}" if entry.advice else ""
    return f"FAILURE ({entry.kind}): {entry.text}{advice}"


def _checkpoint(entry: messages.Checkpoint) -> str:
    text = f"checkpoint of step {entry.step} {entry.state}"
    if entry.state == "saved":
        text += f" ({entry.bytes / 1e6:,.1f} MB in {entry.seconds:.1f} s)"
    return text + (f": {entry.reason}" if entry.reason else "")


def _ack(entry: messages.Ack) -> str:
    why = f": {entry.reason}" if entry.reason else ""
    return f"{entry.command} {entry.state} after step {entry.step}{why}"


def _supervisor(entry: messages.Supervisor) -> str:
    return f"supervisor {entry.state}" + (f": {entry.text}" if entry.text else "")


def _launch(entry: messages.Launch) -> str:
    origin = f" from {entry.checkpoint}" if entry.checkpoint else ""
    return f"attempt {entry.attempt}{origin}: {entry.reason}"


def _command(entry: messages.Command) -> str:
    knob = ""
    if entry.command == "set" and "key" in entry.arguments:
        knob = f" {entry.arguments['key']} = {entry.arguments.get('value')}"
    return f"{entry.command}{knob} asked for by {entry.by}"


def _hello(entry: messages.Hello) -> str:
    return f"{entry.world} ranks, {entry.model.parameters:,} parameters"


def _log(entry: messages.Log) -> str:
    return entry.text if entry.level == "info" else f"{entry.level}: {entry.text}"


def _alarm(entry: messages.Alarm) -> str:
    if entry.state == "cleared":
        return f"alarm over: {entry.rule}{_place(entry)}"
    return f"ALARM ({entry.severity}): {entry.text or entry.rule + _place(entry)}"


def _acknowledged(entry: messages.Acknowledged) -> str:
    return f"alarm {entry.rule}{_place(entry)} acknowledged by {entry.by}"


def _place(entry: messages.Alarm | messages.Acknowledged) -> str:
    layer = "" if entry.layer is None else f" layer {entry.layer}"
    return layer + ("" if entry.expert is None else f" expert {entry.expert}")


def _dropped(entry: messages.Dropped) -> str:
    return f"{entry.count} messages were dropped"


def _end(entry: messages.End) -> str:
    return f"{entry.state.upper()} after step {entry.step}: {entry.reason}"


_WORDINGS: dict[type[Any], Callable[[Any], str]] = {
    messages.Phase: _phase,
    messages.Step: _step,
    messages.Eval: _eval,
    messages.Failure: _failure,
    messages.Checkpoint: _checkpoint,
    messages.Ack: _ack,
    messages.Supervisor: _supervisor,
    messages.Launch: _launch,
    messages.Command: _command,
    messages.Hello: _hello,
    messages.Log: _log,
    messages.Alarm: _alarm,
    messages.Acknowledged: _acknowledged,
    messages.Dropped: _dropped,
    messages.End: _end,
}


def clock(time: float) -> str:
    """The local time of day."""
    return f"{datetime.fromtimestamp(time):%H:%M:%S}"
