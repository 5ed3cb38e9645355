"""Writes docs/messages.md and docs/presets.md from the contract's own docstrings.

    python docs/make_reference.py

A test holds the files to what this writes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from trainer.contract import config, messages, presets
from trainer.contract.about import docstrings

HERE = Path(__file__).parent
HEAD = "<!-- Written by docs/make_reference.py from the code. Change it there. -->\n"

MESSAGES_INTRO = """\
# Messages and the run directory

    RUNS_DIR/<run id>/
      run.yaml            resolved configuration, versions, git commit, host, preset
      name                what the run was renamed to, if it was; its folder keeps its name
      journal.jsonl       every message in order; append-only
      trainer.log         what torchrun and the ranks printed, rank-prefixed
      supervisor.json     host, pid, start time, protocol version, socket paths
      supervisor.log      what the supervisor itself had to say
      checkpoints/step-00000100/   manifest.json written last; latest -> the newest
      rank-logs/          torchrun's own copy of each rank's output
      swap/               optimizer states on disk, while a run with engine.offload_optimizer=nvme trains
      failures/           last words of ranks, and messages that found no supervisor

Messages are JSON objects, one a line: up the pipe from rank 0, in the journal, and over the client socket. `type` names them; the other keys are
the fields below. In the journal each also has `seq` (the line, from 1), `time` (Unix), `mono` (the host's monotonic clock), and those of the
trainer `n` and `attempt` (see decisions/exactly-once-journal.md). Keys that only some messages have use for (`n`, `detail`, …) are left out where empty. Numbers that are not finite are
`null`. Unknown types and fields are ignored, so versions that differ by one understand each other; a torn last line is skipped.

    {"seq": 17, "time": 1764000000.123, "type": "step", "step": 4, "loss": 7.990450143814087, …}
"""

PRESETS_INTRO = """\
# Presets and keys

A preset is a YAML file of these keys, shipped (`l4cockpit presets`) or your own (`l4cockpit run ./mine.yaml`); `extends:` names another that it
builds on. `--set a.b=c` overrides keys, c being YAML. Unknown keys and impossible values are refused before anything starts. What a run used
is in its `run.yaml`.
"""


def main() -> None:
    """Write both files."""
    (HERE / "messages.md").write_text(messages_page(), encoding="utf-8")
    (HERE / "presets.md").write_text(presets_page(), encoding="utf-8")


def messages_page() -> str:
    """The reference of messages."""
    groups = {
        "Up, from the trainer": messages.FromTrainer,
        "Added by the supervisor": tuple(
            kind for kind in messages.Entry.__args__ if kind not in messages.FromTrainer.__args__
        ),
        "Down, to the trainer": messages.ToTrainer,
        "The client socket": (
            *(messages.Greeting, *messages.ToSupervisor.__args__, messages.Controls),
        ),
        "Parts of messages": (*(messages.Rank, messages.Model, messages.Gpu, messages.Process),),
    }
    parts = [HEAD, MESSAGES_INTRO]
    for title, group in groups.items():
        parts.append(f"\n## {title}\n")
        parts += [_message(kind) for kind in getattr(group, "__args__", group)]
    return "".join(parts)


def _message(kind: type[msgspec.Struct]) -> str:
    tag = kind.__struct_config__.tag
    fields = [
        f for f in msgspec.structs.fields(kind) if f.name not in messages.Message.__struct_fields__
    ]
    told = ", ".join(f"`{field.name}` {_type(kind, field.name)}" for field in fields)
    name = f"`{tag}`" if tag else kind.__name__
    return f"\n**{name}** — {' '.join(inspect.cleandoc(kind.__doc__ or '').split())}\n" + (
        f"\n{told}\n" if told else ""
    )


def _type(kind: type[msgspec.Struct], name: str) -> str:
    for base in kind.__mro__:
        if name in getattr(base, "__annotations__", {}):
            return str(base.__annotations__[name]).replace(" | None", " or null")
    return ""


def presets_page() -> str:
    """The reference of presets and keys."""
    rows = [f"| `{name}` | {presets.resolve(name).description} |\n" for name in presets.names()]
    lines = [HEAD, PRESETS_INTRO, "\n## Shipped\n\n| preset | |\n|---|---|\n", *rows]
    lines.append("\n## Keys\n\n| key | default | values | |\n|---|---|---|---|\n")
    lines += list(_keys(config.Config, "", docstrings(config)))
    return "".join(lines)


def _keys(
    section: type[msgspec.Struct], prefix: str, told: dict[tuple[str, str], str]
) -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        inner = next(
            (k for k in getattr(field.type, "__args__", (field.type,)) if _is_section(k)), None
        )
        if inner is not None:
            yield from _keys(inner, f"{prefix}{field.name}.", told)
            continue
        values = str(section.__annotations__[field.name])
        if "Literal" in str(field.type):
            values = ", ".join(f"{choice}" for choice in _choices(field.type))
        text = told.get((section.__name__, field.name), "").replace("|", "\\|")
        yield f"| `{prefix}{field.name}` | {_default(field)} | {values.replace('|', 'or')} | {text} |\n"


def _choices(annotation: Any) -> Iterator[Any]:
    for part in getattr(annotation, "__args__", ()):
        yield from _choices(part) if hasattr(part, "__args__") else (part,)


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    return (
        ""
        if value in (None, "")
        else f"`{yaml.safe_dump(_plain(value), default_flow_style=True).split(chr(10))[0]}`"
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, config.Section)


if __name__ == "__main__":
    main()
