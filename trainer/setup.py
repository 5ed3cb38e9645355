"""Everything a loop needs, made in the order in which it can fail: cheapest first."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import nn
from torch.utils.cpp_extension import get_default_build_root

from trainer.contract import messages
from trainer.contract.config import Config, ConfigError
from trainer.data import packed
from trainer.data.packed import PackedData
from trainer.engines import Engine
from trainer.engines.deepspeed import DeepSpeedEngine, join
from trainer.llama4 import adapters, build
from trainer.llama4.balance import Balance
from trainer.llama4.counting import RoutingCounter
from trainer.place import Place
from trainer.stale_locks import remove_stale_locks
from trainer.store import Store
from trainer.telemetry.updates import UpdateWatch


@dataclass
class Parts:
    """What `assemble` made. ranks is complete on every rank."""

    data: PackedData
    engine: Engine
    counter: RoutingCounter
    watch: UpdateWatch
    balance: Balance
    model: messages.Model
    ranks: list[messages.Rank]


def assemble(
    config: Config, run_dir: Path, place: Place, store: Store, tell: Callable[[str], None]
) -> Parts:
    """Data, model and engine of a run. tell is called with what is done next. Raises ConfigError
    where the configuration cannot be followed here."""
    device = _device(config, place)
    if place.local_rank == 0:  # before the ranks meet, and so before any of them builds
        builds = os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()
        for lock in remove_stale_locks(Path(builds)):
            tell(f"a killed compilation had left its lock: {lock}")
    ranks = _meet(store, place, device)
    tell("preparing the data")
    data = packed.load(_prepared(config, place, store))
    text = build.text_config(config, data.vocabulary)
    if data.vocabulary > text.vocab_size:
        raise ConfigError(
            f"the tokenizer has {data.vocabulary} entries, the model {text.vocab_size}"
        )
    attention = build.attention(config, text, device)
    tell("meeting the other ranks (the first time DeepSpeed compiles, about a minute)")
    join(device)

    def make_model() -> nn.Module:
        tell(f"building the model (attention: {attention})")
        model = build.build(config, text, device)
        if config.adapter.kind != "none":
            dtype = getattr(torch, config.model.dtype)
            adapters.add(model, config.adapter, dtype, config.train.seed)
        tell(f"starting DeepSpeed{_COMPILES.get(config.engine.offload_optimizer, '')}")
        return model

    engine = DeepSpeedEngine(config, place, device, run_dir, make_model)
    # Weights were drawn from one seed on all ranks; dropout must differ between them.
    torch.manual_seed(config.train.seed + 1000 * (place.rank + 1))
    return Parts(
        data=data,
        engine=engine,
        counter=RoutingCounter(engine.module, device),
        watch=UpdateWatch(engine.module, place.rank),
        balance=Balance(engine.module, config.moe, place.world * config.train.grad_accum),
        model=build.describe(engine.module, text, config),
        ranks=ranks,
    )


_COMPILES = {"nvme": " (the first time it compiles its disk access, some minutes)"}


def versions() -> dict[str, str]:
    """Of the libraries that decide what a checkpoint means."""
    names = ("torch", "transformers", "deepspeed", "peft")
    return {name: importlib.metadata.version(name) for name in names}


def _device(config: Config, place: Place) -> torch.device:
    wanted = config.launch.device
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError("launch.device is cuda, and torch sees no GPU here")
    if place.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"launch.nproc is {config.launch.nproc}, and there are "
            f"{torch.cuda.device_count()} GPUs here"
        )
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def _meet(store: Store, place: Place, device: torch.device) -> list[messages.Rank]:
    mine = messages.Rank(rank=place.rank, pid=os.getpid(), host=place.host, device=str(device))
    found = store.exchange("ranks", msgspec.json.encode(mine))
    return [msgspec.json.decode(rank, type=messages.Rank) for rank in found]


class _Prepared(msgspec.Struct):
    """The folder of the prepared data, or why there is none."""

    folder: str = ""
    problem: str = ""


def _prepared(config: Config, place: Place, store: Store) -> Path:
    """Rank 0 prepares the data; the same folder, or the same ConfigError, on all ranks."""
    mine = None
    if place.leads:
        try:
            mine = _Prepared(folder=str(packed.prepare(config)))
        except ConfigError as error:
            mine = _Prepared(problem=str(error))
        except OSError as error:
            mine = _Prepared(problem=f"data.cache: cannot write prepared data: {error}")
    value = None if mine is None else msgspec.json.encode(mine)
    answer = msgspec.json.decode(store.share("data", value), type=_Prepared)
    if answer.problem:
        raise ConfigError(answer.problem)
    return Path(answer.folder)
