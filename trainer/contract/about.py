"""What each key means and what it can be, read from the source of the configuration: the string
under each field is written once."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from types import ModuleType
from typing import NamedTuple

import msgspec

from trainer.contract import config as configuration
from trainer.contract.config import Config


class About(NamedTuple):
    """text explains; choices are the values that a key can have, where they are few."""

    text: str
    choices: tuple[str, ...] = ()


@cache
def about(key: str) -> About:
    """What a dotted key means; without a text where it is not known, as in an installation that
    has no sources."""
    kind: type[msgspec.Struct] | None = Config
    *sections, name = key.split(".")
    for section in sections:
        fields = {} if kind is None else _fields(kind)
        kind = configuration.section_of(fields[section]) if section in fields else None
    if kind is None or name not in _fields(kind):
        return About("")
    text = _told().get((kind.__name__, name), "")
    return About(text, tuple(configuration.choices(_fields(kind)[name])))


def _fields(kind: type[msgspec.Struct]) -> dict[str, object]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def _told() -> dict[tuple[str, str], str]:
    try:
        return docstrings(configuration)
    except OSError:
        return {}


def docstrings(module: ModuleType) -> dict[tuple[str, str], str]:
    """The string under each field, by class and field. Raises OSError without a source."""
    found = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(words))),
                    ):
                        found[node.name, name] = " ".join(words.split())
    found["Config", "description"] = "The preset's one line in lists."
    return found
