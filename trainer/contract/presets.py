"""Presets: named configurations, one YAML file each, that may extend another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from trainer.contract import config as configuration
from trainer.contract import values as nested
from trainer.contract.config import Config, ConfigError


def names() -> list[str]:
    """The shipped presets, those that start with an underscore (bases) left out."""
    files = (entry.name for entry in resources.files("presets").iterdir())
    return sorted(
        name.removesuffix(".yaml")
        for name in files
        if name.endswith(".yaml") and not name.startswith("_")
    )


def resolve(preset: str, overrides: Iterable[str] = ()) -> Config:
    """The checked configuration of a preset (a shipped name, or a path to a YAML file) with
    `a.b=c` overrides applied in order; raises ConfigError."""
    found = _values(preset, ())
    for text in overrides:
        found = nested.merge(found, nested.parse_override(text))
    return configuration.build(found)


def title(preset: str) -> str:
    """A preset's name, without folder and ending."""
    return Path(preset).stem if _is_file(preset) else preset


def _is_file(preset: str) -> bool:
    return preset.endswith((".yaml", ".yml")) or "/" in preset


def _values(preset: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if preset in seen:
        raise ConfigError(f"presets extend each other in a circle: {' → '.join((*seen, preset))}")
    try:
        found = nested.parse_yaml(_read(preset))
    except yaml.YAMLError as error:
        raise ConfigError(f"preset {preset} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, Mapping):
        raise ConfigError(f"preset {preset} holds no keys")
    own = dict(found)
    base = own.pop("extends", None)
    if base is None:
        return own
    if not isinstance(base, str):
        raise ConfigError(f"preset {preset}: extends wants one name, not {base!r}")
    return nested.merge(_values(base, (*seen, preset)), own)


def _read(preset: str) -> str:
    if _is_file(preset):
        try:
            return Path(preset).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read preset {preset}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"preset {preset} is not text in UTF-8") from None
    entry = resources.files("presets") / f"{preset}.yaml"
    if not entry.is_file():
        near = get_close_matches(preset, names(), 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"no preset {preset}{hint} (there are: {', '.join(names())})")
    return entry.read_text(encoding="utf-8")
