"""Where examples come from: a JSON Lines file, or the help topics that every Python ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.config import TOPICS, ConfigError


@dataclass(frozen=True)
class Example:
    """One document. The loss is taken on completion and not on prompt, which may be empty."""

    prompt: str
    completion: str


def examples(path: str) -> list[Example]:
    """All examples of a data set; raises ConfigError naming the line that cannot be used."""
    found = _topics() if path == TOPICS else list(_json_lines(Path(path).expanduser()))
    if not found:
        raise ConfigError(f"data.path: {path} holds no examples")
    return found


def _topics() -> list[Example]:
    from pydoc_data.topics import topics  # noqa: PLC0415 - half a megabyte, on demand

    return [
        Example(f"Explain the topic {name!r} of the Python language.", text.strip())
        for name, text in sorted(topics.items())
    ]


def _json_lines(path: Path) -> Iterator[Example]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _example(line, f"{path}, line {number}")
    except OSError as error:
        raise ConfigError(f"data.path: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"data.path: {path} is not text in UTF-8") from None


def _example(line: str, where: str) -> Example:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigError(f"{where}: not JSON") from None
    match row:
        case {"prompt": str(prompt), "completion": str(completion)}:
            example = Example(prompt, completion)
        case {"text": str(text)}:
            example = Example("", text)
        case _:
            raise ConfigError(f"{where}: wants `prompt` and `completion`, or `text`, as strings")
    try:
        (example.prompt + example.completion).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: holds half a character (a lone surrogate)") from None
    return example
