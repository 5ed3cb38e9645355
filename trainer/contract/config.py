"""The configuration of a run: every key, its default, and what it means.

A run is resolved once, from a preset and the `--set` options of the command line, checked as a
whole, and written to run.yaml; the trainer reads nothing else. All classes are plain data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin

import msgspec
import yaml

from trainer.contract.values import ConfigError as ConfigError
from trainer.contract.values import parse_yaml

Offload: TypeAlias = Literal["none", "cpu", "nvme"]
TOPICS = "python-topics"
"""data.path of the text that every Python ships: the topics of `help()`."""


class Section(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A group of keys. Unknown keys are errors."""


class TinyModel(Section):
    """A random Llama 4 text model, for a machine without weights or GPU."""

    layers: int = 4
    """Decoder layers; every fourth attends without RoPE, as in Scout."""
    experts: int = 16
    """Routed experts per layer; one is chosen per token, and one shared expert sees all."""
    hidden: int = 128
    """Width of the residual stream."""
    intermediate: int = 256
    """Width inside an expert."""
    heads: int = 4
    """Query heads; half as many key-value heads."""
    vocabulary: int = 4096
    """Size of the byte-pair vocabulary, which is trained on the data."""
    chunk: int = 128
    """Span of chunked attention, in tokens."""


class Model(Section):
    """Which model. Exactly one of path and tiny."""

    path: str | None = None
    """A Llama 4 checkpoint in Hugging Face format."""
    tiny: TinyModel | None = None
    """A random model of this shape."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of weights and activations; the optimizer keeps float32 copies."""


class Data(Section):
    """Which text."""

    path: str = TOPICS
    """A JSON Lines file with `prompt` and `completion`, or `text`; or python-topics."""
    seq_len: int = 256
    """Tokens per packed sequence."""
    cache: str | None = None
    """Where prepared data is kept; default: $XDG_CACHE_HOME/l4cockpit."""


class Train(Section):
    """The loop."""

    steps: int = 200
    """Optimizer steps in all, resumes included."""
    seed: int = 0
    """Of weights (tiny), data order and dropout."""
    micro_batch: int = 1
    """Sequences per rank and forward pass."""
    grad_accum: int = 1
    """Forward passes per optimizer step."""
    lr: float = 2e-4
    """Peak learning rate."""
    warmup: int = 10
    """Steps of linear warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """After the warm-up, down to min_lr × lr at the last step."""
    min_lr: float = 0.1
    """End of the schedule, relative to lr."""
    grad_clip: float = 1.0
    """Largest global gradient norm; 0 switches clipping off."""
    loss: Literal["chunked", "stock"] = "chunked"
    """chunked holds the logits of some tokens at a time; stock, Transformers' own, of all."""


class Optimizer(Section):
    """The optimizer."""

    kind: Literal["adamw", "adamw8bit"] = "adamw"
    """AdamW with float32 master weights; adamw8bit keeps its moments in 8 bits, by bitsandbytes:
    made for states on a GPU, slow where they are offloaded."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the first and second moment."""
    eps: float = 1e-8
    """Added to the denominator."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""


Target: TypeAlias = Literal["attention", "shared", "experts", "router"]


class Adapter(Section):
    """Low-rank adapters; without, all weights train."""

    kind: Literal["none", "lora", "qlora"] = "none"
    """none trains all weights; lora freezes them and trains adapters; qlora also holds them in 4 or
    8 bits (each rank all of them: needs engine.zero_stage 0, 1 or 2)."""
    quant: Literal["nf4", "int8", "fp8"] = "nf4"
    """How qlora holds frozen weights, in bytes a weight and the error relative to their spread: nf4
    0.56 and 9 %, int8 1.03 and 0.7 %, fp8 (float8_e4m3) 1.03 and 2.6 %. Embedding, head, routers
    and norms stay as they are."""
    rank: int = 16
    """Rank of the adapters."""
    alpha: float = 32.0
    """The adapter's output is scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout on the adapter's input."""
    targets: list[Target] = msgspec.field(default_factory=lambda: ["attention"])
    """attention: q, k, v, o projections; shared: the shared expert (of layers without experts:
    their dense block); experts: each routed expert its own; router: the choice of the expert."""
    untrained_after: int = 100
    """Steps after which an adapted expert that got tokens and never moved is a failure that is
    told; 0 never."""


class Moe(Section):
    """The mixture of experts."""

    kind: Literal["sparse", "stock"] = "sparse"
    """sparse multiplies a token by the experts it chose; stock is Transformers' own block, which
    multiplies every token by every expert."""
    balance_coef: float = 0.0
    """Coefficient of the auxiliary loss, E · Σ share · probability over the global batch (1 when
    balanced); 0.01 is usual. Can be changed while the run goes on."""
    z_coef: float = 0.0
    """Coefficient of the router z-loss, the mean squared log-sum-exp of its logits; 0.001 is
    usual."""
    bias_rate: float = 0.0
    """Loss-free balancing: how far a step moves each expert's bias, which takes part in the choice
    alone; 0.001 is usual, 0 has no bias. Needs kind sparse, and whoever serves the model needs the
    bias too."""


class Attention(Section):
    """How attention is computed."""

    kind: Literal["auto", "flash", "varlen", "sdpa", "eager"] = "auto"
    """auto takes flash (the package flash-attn) or else varlen (torch's own) on a GPU in 16 bits,
    and sdpa elsewhere; eager is Transformers' own, slow, for comparison."""


class Engine(Section):
    """What distributes the work."""

    kind: Literal["deepspeed"] = "deepspeed"
    """The library."""
    zero_stage: Literal[0, 1, 2, 3] = 3
    """ZeRO: 1 shards optimizer states, 2 gradients too, 3 weights too."""
    offload_optimizer: Offload = "none"
    """Where the sharded optimizer states lie; nvme needs zero_stage 3."""
    offload_params: Literal["none", "cpu"] = "none"
    """Where the sharded weights lie; needs zero_stage 3."""
    nvme_path: str | None = None
    """A folder on a fast local disk; default: the run directory."""


class Launch(Section):
    """The processes."""

    nproc: int = 1
    """Ranks on this host."""
    nnodes: Literal[1] = 1
    """Hosts."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is cuda where torch sees a GPU."""
    threads: int = 1
    """CPU threads per rank for torch; results are bit-identical only at equal threads."""


class Checkpoint(Section):
    """When state is written."""

    every: int = 100
    """Steps between checkpoints; 0 writes only on request and at the end."""
    keep: int = 3
    """How many good checkpoints stay; 0 keeps all."""


class Log(Section):
    """Telemetry."""

    every: int = 1
    """Steps between samples of memory and expert counts (a second apart at the least)."""


class Restart(Section):
    """What the supervisor may do by itself."""

    max: int = 3
    """Restarts after failures, each from the newest good checkpoint."""
    grace: float = 120.0
    """Seconds that a checkpoint-and-stop may take before the processes are killed."""


class Alarms(Section):
    """When the supervisor raises alarms about experts. Shares of tokens are relative to the even
    one: 1 is even, whatever the number of experts. A pair is [below, above]; [0, .inf] never."""

    note: tuple[float, float] = (0.8, 2.0)
    """Shares that are noted."""
    warning: tuple[float, float] = (0.5, 3.2)
    """Shares that are warned about, with bell and notification."""
    critical: tuple[float, float] = (0.05, 6.0)
    """The same, as critical; an expert below the first counts as dead."""
    windows: int = 3
    """Windows of counts in a row that must agree before one is raised or cleared."""


class Config(Section):
    """All of it. `description` is the preset's one line in lists."""

    description: str = ""
    model: Model = msgspec.field(default_factory=Model)
    data: Data = msgspec.field(default_factory=Data)
    train: Train = msgspec.field(default_factory=Train)
    optimizer: Optimizer = msgspec.field(default_factory=Optimizer)
    adapter: Adapter = msgspec.field(default_factory=Adapter)
    moe: Moe = msgspec.field(default_factory=Moe)
    attention: Attention = msgspec.field(default_factory=Attention)
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    """full keeps only each layer's input and recomputes the rest in the backward pass; selective
    also keeps what is dear to compute, the outputs of attention and of the experts' products."""
    engine: Engine = msgspec.field(default_factory=Engine)
    launch: Launch = msgspec.field(default_factory=Launch)
    checkpoint: Checkpoint = msgspec.field(default_factory=Checkpoint)
    log: Log = msgspec.field(default_factory=Log)
    restart: Restart = msgspec.field(default_factory=Restart)
    alarms: Alarms = msgspec.field(default_factory=Alarms)


def build(values: Mapping[str, Any]) -> Config:
    """The checked configuration from nested values; raises ConfigError with the key's name."""
    _reject_unknown(values, Config, "")
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error))) from None
    for problem in problems(config):
        raise ConfigError(problem)
    return config


def problems(config: Config) -> Iterator[str]:
    """What is wrong with a configuration although each value alone is fine."""
    yield from _out_of_range(config)
    if (config.model.path is None) == (config.model.tiny is None):
        yield "set exactly one of model.path and model.tiny"
    engine, tiny = config.engine, config.model.tiny
    if engine.zero_stage != 3 and engine.offload_params != "none":
        yield "engine.offload_params needs engine.zero_stage 3"
    if engine.zero_stage != 3 and engine.offload_optimizer == "nvme":
        yield "engine.offload_optimizer nvme needs engine.zero_stage 3"
    if config.optimizer.kind == "adamw8bit" and engine.offload_optimizer == "nvme":
        yield "optimizer.kind adamw8bit cannot keep its states on disk: offload to cpu or none"
    if engine.zero_stage == 0 and engine.offload_optimizer != "none":
        yield "engine.offload_optimizer needs engine.zero_stage 1, 2 or 3"
    if config.adapter.kind == "qlora" and engine.zero_stage == 3:
        yield (
            "adapter.kind qlora needs engine.zero_stage 0, 1 or 2: "
            "ZeRO-3 partitions parameters, and quantised weights are none"
        )
    if config.adapter.kind != "none" and not config.adapter.targets:
        yield "adapter.targets is empty: name attention, shared, experts, router or some of them"
    if config.moe.kind == "stock" and config.adapter.kind != "none":
        for target in sorted({"experts", "router"} & set(config.adapter.targets)):
            yield f"adapter.targets {target} needs moe.kind sparse"
    if config.moe.kind == "stock" and config.moe.bias_rate:
        yield "moe.bias_rate needs moe.kind sparse"
    if tiny and (tiny.heads % 2 or tiny.hidden % (2 * tiny.heads)):
        yield "model.tiny.heads must be even, and 2 × heads must divide model.tiny.hidden"


_POSITIVE = [
    *("data.seq_len", "train.steps", "train.micro_batch", "train.grad_accum", "train.lr"),
    *("adapter.rank", "adapter.alpha", "launch.nproc", "launch.threads", "log.every"),
    *(
        "optimizer.eps",
        "restart.grace",
        "alarms.windows",
        "model.tiny.layers",
        "model.tiny.experts",
    ),
    *("model.tiny.hidden", "model.tiny.intermediate", "model.tiny.heads", "model.tiny.chunk"),
]
_NOT_NEGATIVE = [
    *("train.seed", "train.warmup", "train.grad_clip", "train.min_lr", "optimizer.weight_decay"),
    *("adapter.dropout", "checkpoint.every", "checkpoint.keep", "restart.max"),
    *("adapter.untrained_after", "moe.balance_coef", "moe.z_coef", "moe.bias_rate"),
]


def _out_of_range(config: Config) -> Iterator[str]:
    for key in (*_POSITIVE, *_NOT_NEGATIVE):
        value = get(config, key)
        if value is None:
            continue
        finite = isinstance(value, int) or math.isfinite(value)
        if not finite or value < 0 or (value == 0 and key in _POSITIVE):
            yield f"{key} must be {'positive' if key in _POSITIVE else 'zero or more'}, not {value}"
    if config.train.seed >= 2**63:
        yield f"train.seed must be below 2^63, not {config.train.seed}"
    if config.adapter.dropout >= 1:
        yield f"adapter.dropout must be below 1, not {config.adapter.dropout}"
    if config.model.tiny and config.model.tiny.vocabulary < 512:
        yield f"model.tiny.vocabulary must be at least 512, not {config.model.tiny.vocabulary}"
    if not all(0 <= beta < 1 for beta in config.optimizer.betas):
        yield f"optimizer.betas must be from 0 to below 1, not {list(config.optimizer.betas)}"
    alarms = config.alarms
    lows, highs = zip(alarms.critical, alarms.warning, alarms.note, strict=True)
    if not (0 <= lows[0] <= lows[1] <= lows[2] < 1 < highs[2] <= highs[1] <= highs[0]):
        yield "alarms.note, warning and critical must be pairs around 1, each around the one before"


def get(config: Config, key: str) -> Any:
    """The value of a dotted key; None below a section that is not set."""
    value: Any = config
    for name in key.split("."):
        value = None if value is None else getattr(value, name)
    return value


def keys(section: type[msgspec.Struct] = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key."""
    for field in msgspec.structs.fields(section):
        inner = section_of(field.type)
        yield from keys(inner, f"{prefix}{field.name}.") if inner else (f"{prefix}{field.name}",)


def section_of(annotation: Any) -> type[Section] | None:
    """The group of keys that a field is, if it is one."""
    for kind in getattr(annotation, "__args__", (annotation,)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _reject_unknown(values: Any, section: type[Section], prefix: str) -> None:
    if not isinstance(values, Mapping):
        where = prefix.rstrip(".") or "the configuration"
        raise ConfigError(f"{where} must be a group of keys, not {values!r}")
    fields = {field.name: field.type for field in msgspec.structs.fields(section)}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in fields:
            near = get_close_matches(key, list(keys()), 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown key {key}{hint}")
        inner = section_of(fields[name])
        if inner and value is not None:
            _reject_unknown(value, inner, f"{key}.")


def _readable(text: str) -> str:
    """msgspec's `… - at `$.train.steps`` as `train.steps: …`, with the choices if it has some."""
    reason, _, where = text.partition(" - at `$.")
    key = where.rstrip("`")
    if not key:
        return reason
    if known := choices(_annotation(key)):
        wrong = reason.removeprefix("Invalid enum value ")
        if wrong != reason:
            near = get_close_matches(wrong.strip("'"), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"{key} must be one of {', '.join(known)}, not {wrong}{hint}"
        reason += f" (one of {', '.join(known)})"
    return f"{key}: {reason[0].lower()}{reason[1:]}"


def _annotation(key: str) -> Any:
    """The type of a dotted key; that of the whole list for `key[0]`."""
    kind: Any = Config
    for name in key.split("."):
        section = section_of(kind) or Section
        fields = {field.name: field.type for field in msgspec.structs.fields(section)}
        kind = fields.get(name.partition("[")[0])
    return kind


def choices(annotation: Any) -> list[str]:
    """The values that a field of this type can have, where they are few; else none."""
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for inner in get_args(annotation) for choice in choices(inner)]


def load_run(path: Path) -> Config:
    """The configuration in a run.yaml; raises ConfigError where it cannot be read."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, Mapping) or "config" not in values:
        raise ConfigError(f"{path} has no `config` section")
    return build(values["config"])
