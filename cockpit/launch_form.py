"""The values of a preset as they are edited before a start. No screen here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from shlex import split
from typing import Any

from cockpit import runs
from cockpit.runs import RunError
from trainer.contract import config as configuration
from trainer.contract import presets
from trainer.contract.about import About, about
from trainer.contract.config import Config, ConfigError

NAME, OTHER = "name", "other keys"
MAIN = (
    "model.path", "model.tiny.layers", "model.tiny.experts", "data.path", "data.seq_len",
    "train.steps", "train.lr", "train.micro_batch", "train.grad_accum", "adapter.kind",
    "adapter.rank", "adapter.targets", "engine.kind", "engine.zero_stage",
    "engine.offload_optimizer", "engine.offload_params", "activation_checkpointing",
    "launch.nproc", "checkpoint.every", "checkpoint.keep",
)  # fmt: skip
"""The keys that have a line of their own. Those of a section that a preset leaves out have none."""
_ABOUT = {
    NAME: About("What to call the run; empty: its id, which begins with date and time."),
    OTHER: About("Any other keys, as in: train.seed=3 log.every=10"),
}


@dataclass
class Value:
    """A line of the form: a key, what the preset says, and what it says now."""

    key: str
    was: str
    text: str
    about: About = field(default_factory=lambda: About(""))

    @property
    def changed(self) -> bool:
        """Whether it says something else than the preset."""
        return self.text != self.was

    def turn(self, by: int) -> bool:
        """To the next of the values that it can have; whether there are such."""
        choices = self.about.choices
        if not choices:
            return False
        at = choices.index(self.text) if self.text in choices else -1 if by > 0 else 0
        self.text = choices[(at + by) % len(choices)]
        return True


@dataclass
class LaunchForm:
    """A preset, its main values, and what is wrong with them. Raises ConfigError where the preset
    itself cannot be used."""

    root: Path
    preset: str
    description: str = ""
    values: list[Value] = field(default_factory=list)
    problem: str = ""
    """In one line; empty where it can be started."""
    wrong: str = ""
    """The key that the problem is about, if it is one of the form's."""
    config: Config | None = None
    """What would be started; None while something is wrong."""

    def __post_init__(self) -> None:
        config = presets.resolve(self.preset)
        self.description = config.description
        keys = [key for key in MAIN if _belongs(config, key)]
        values = [(key, written(configuration.get(config, key))) for key in keys]
        self.values = [
            Value(key, text, text, _ABOUT.get(key) or about(key))
            for key, text in ((NAME, ""), *values, (OTHER, ""))
        ]
        self.check()

    def check(self) -> None:
        """Look at all values anew."""
        self.problem = self.wrong = ""
        self.config = None
        try:
            if self.name:
                runs.check_name(self.root, self.name)
        except RunError as error:
            self.problem, self.wrong = str(error), NAME
            return
        own = self.overrides()
        try:
            config = presets.resolve(self.preset, own)
        except ConfigError as error:
            self.problem = str(error).removeprefix("--set ")
            self.wrong = self._named_in(self.problem)
            return
        try:
            others = split(self._text(OTHER))
            self.config = presets.resolve(self.preset, [*own, *others]) if others else config
        except ValueError as error:  # a ConfigError, or a quotation without end
            self.problem, self.wrong = str(error).removeprefix("--set "), OTHER

    def overrides(self) -> list[str]:
        """What is changed of the values that have a line of their own, as for --set."""
        return [
            f"{value.key}={value.text}"
            for value in self.values
            if value.changed and value.key not in (NAME, OTHER)
        ]

    @property
    def name(self) -> str | None:
        """What the run is to be called, if not by its id."""
        return self._text(NAME).strip() or None

    @property
    def changes(self) -> int:
        """How many keys differ from the preset, about: other keys count as one."""
        return sum(value.changed for value in self.values if value.key != NAME)

    def _text(self, key: str) -> str:
        return next(value.text for value in self.values if value.key == key)

    def _named_in(self, problem: str) -> str:
        """The key that a message is about: of those in it the first that was changed, or else the
        first."""
        places = [(problem.find(value.key), value) for value in self.values]
        named = [value for at, value in sorted(places, key=lambda pair: pair[0]) if at >= 0]
        changed = [value.key for value in named if value.changed]
        return (changed or [value.key for value in named] or [OTHER])[0]


def _belongs(config: Config, key: str) -> bool:
    """Whether a preset has a use for a key: of the model's, only those of the one it names."""
    return not key.startswith("model.") or configuration.get(config, key) is not None


def written(value: Any) -> str:
    """A value as one writes it in YAML on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Iterable):
        return f"[{', '.join(written(part) for part in value)}]"
    raise TypeError(f"no text for {value!r}")
