"""What the user wants of the screen: a file, and options of the command line that go before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cockpit import keys
from cockpit.terminal import DEPTHS, THEMES, Terminal, detect

_SWITCH = ("auto", "true", "false")


class SettingsError(ValueError):
    """One line that says which file, which setting, and what it may be."""


@dataclass(frozen=True)
class Settings:
    """auto, or no value, is what the terminal says of itself."""

    theme: str = "auto"
    """dark or light."""
    colours: str = "auto"
    """true, 256, 16 or none."""
    ascii: str = "auto"
    """Whether to draw with ASCII alone."""
    low_bandwidth: str = "auto"
    """Whether to draw charts and map less often."""
    mute: str = "false"
    """Whether alarms neither ring nor show notifications."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The key of each action that has not its usual one."""

    def but(self, options: Mapping[str, Any]) -> Settings:
        """These settings, with those among some options of the command line in their place."""
        return replace(self, **{name: options[name] for name in CHOICES if name in options})

    def terminal(self, environment: Mapping[str, str]) -> Terminal:
        """The terminal as it says it is, but for what is set here."""
        found = detect(environment)
        for depth in DEPTHS:
            found = replace(found, depth=depth) if self.colours == depth else found
        for theme in THEMES:
            found = replace(found, theme=theme) if self.theme == theme else found
        if self.ascii != "auto":
            found = replace(found, ascii=self.ascii == "true")
        if self.low_bandwidth != "auto":
            found = replace(found, slow=self.low_bandwidth == "true")
        return found


CHOICES: dict[str, tuple[str, ...]] = {
    "theme": ("auto", *THEMES),
    "colours": ("auto", *DEPTHS),
    "ascii": _SWITCH,
    "low_bandwidth": _SWITCH,
    "mute": _SWITCH[1:],
}
"""Which values each setting may have."""


def path(environment: Mapping[str, str], home: Path) -> Path:
    """Where the settings are (XDG base directories: a relative one does not count)."""
    config = Path(environment.get("XDG_CONFIG_HOME", ""))
    return (config if config.is_absolute() else home / ".config") / "l4cockpit" / "settings.yaml"


def load(file: Path) -> Settings:
    """The settings in a file; the usual ones without it. Raises SettingsError."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    try:
        return parse(text)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None


def parse(text: str) -> Settings:
    """The settings that a YAML text says. Raises SettingsError."""
    import yaml  # noqa: PLC0415 - most have no file

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # 2026-99-99 is a bad date
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise SettingsError(f"{where}{getattr(error, 'problem', None) or 'no YAML'}") from None
    if found is None:
        return Settings()
    if not isinstance(found, dict):
        raise SettingsError("not a list of `name: value`")
    values = {str(name): _value(str(name), value) for name, value in found.items()}
    return Settings(**values)


def _value(name: str, value: Any) -> Any:
    if name == "keys":
        return _keys(value)
    if name not in CHOICES:
        raise SettingsError(f"no setting {name!r}; there are {', '.join((*CHOICES, 'keys'))}")
    word = str(value).lower()  # YAML makes numbers, booleans and nothing of some words
    if word not in CHOICES[name]:
        raise SettingsError(f"{name}: {value!r} is none of {', '.join(CHOICES[name])}")
    return word


def _keys(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise SettingsError("keys: not a list of `action: key`")
    try:
        return keys.checked({str(name): str(key) for name, key in value.items()})
    except ValueError as error:
        raise SettingsError(f"keys: {error}") from None
