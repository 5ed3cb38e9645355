"""Nested values of a configuration before they are checked: from YAML, merged, overridden."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml


class ConfigError(ValueError):
    """A configuration that cannot be used; the text is one line that says what to change."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values of base with those of over put in their place."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old or {}, value) if both else value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Nested values from `a.b=c`, c being YAML (so 2e-4, true and [a, b] mean what they say)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set wants KEY=VALUE, as in train.steps=100, not {text!r}")
    try:
        parsed = parse_yaml(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: {value!r} is not a value") from None
    for name in reversed(key.strip().split(".")):
        parsed = {name: parsed}
    return dict(parsed)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 numbers: 2e-4 is a number here, as everyone who writes it means."""


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that the loader would take for numbers."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def parse_yaml(text: str) -> Any:
    """The value that some YAML text stands for; raises yaml.YAMLError."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (ValueError, RecursionError) as error:  # the 31st of February; brackets without end
        raise yaml.YAMLError(str(error)) from None


def dump_yaml(values: Mapping[str, Any]) -> str:
    """YAML that `parse_yaml` reads back as the same values."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
