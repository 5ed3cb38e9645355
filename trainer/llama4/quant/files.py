"""Which file of a checkpoint folder holds which tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from trainer.contract.config import ConfigError

INDEX = "model.safetensors.index.json"
PREFIX = "language_model."
"""Before the names of the text part, in checkpoints that also have eyes."""


class Place(NamedTuple):
    """Where a tensor lies, and its name there."""

    path: Path
    key: str


def tensor_files(folder: Path) -> dict[str, Place]:
    """The tensors of a checkpoint, whole or in shards with an index, by the names that
    `Llama4ForCausalLM` gives them (others come along under their own). Raises ConfigError where
    there are none or a shard is missing."""
    found: dict[str, Place] = {}
    for file, keys in _keys(folder).items():
        for key in keys:
            found[key.removeprefix(PREFIX)] = Place(file, key)
    return found


def _keys(folder: Path) -> dict[Path, list[str]]:
    if (folder / INDEX).is_file():
        return _indexed(folder)
    single = folder / "model.safetensors"
    files = [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"model.path: no safetensors files in {folder}")
    found = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                found[file] = list(tensors.keys())
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"model.path: {file} cannot be read: {error}") from None
    return found


def _indexed(folder: Path) -> dict[Path, list[str]]:
    try:
        shards = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        found: dict[Path, list[str]] = {}
        for key, shard in shards.items():
            found.setdefault(folder / shard, []).append(key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"model.path: {folder / INDEX} cannot be read: {error!r}") from None
    if absent := sorted(str(file.name) for file in found if not file.is_file()):
        more = f" and {len(absent) - 1} more" if absent[1:] else ""
        raise ConfigError(f"model.path: {folder} lacks the file {absent[0]}{more}")
    return found
