"""What travels over the JSON pipe, what the journal holds, and what the client socket carries.

One JSON object a line. `type` names the message; every other key is a field of the class below
whose tag it is. Readers ignore fields and types they do not know, so two versions that differ by
one understand each other. JSON has no NaN: a number that is not finite travels as `null`.

Units: bytes, seconds, tokens, degrees Celsius, watts, MHz, and fractions of one for utilisation,
unless a field says otherwise. Field names are stable: scripts read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

PROTOCOL = 1
"""Version of this file. A reader copes with one more and one less."""

LIMIT = 16 * 2**20
"""Longest line, in bytes, that a reader accepts."""


class Message(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True, gc=False):
    """A message. The fields here are filled in by the journal and the pipe, never by a sender.

    seq counts the lines of the journal from 1; time is Unix time and mono the monotonic clock of
    the host when the message was made; n counts what the trainer sent within one attempt, from 1,
    so that nothing is lost or doubled when a supervisor is replaced.
    """

    seq: int = 0
    time: float = 0.0
    mono: float = 0.0
    n: int = 0
    attempt: int = 0


# --- up: from the trainer --------------------------------------------------------------


class Rank(msgspec.Struct, kw_only=True):
    """One process of the trainer. device is "cpu" or "cuda:3"; pid is valid on host alone."""

    rank: int
    pid: int
    host: str
    device: str


class Model(msgspec.Struct, kw_only=True):
    """The shape of the model. moe_layers lists the decoder layers, from 0, that have experts.
    flops_per_token counts the matrix products that a step needs for a token, forward and
    backward, without what activation checkpointing computes again."""

    layers: int
    moe_layers: list[int]
    experts: int
    experts_per_token: int
    hidden: int
    vocabulary: int
    parameters: int
    trainable: int
    flops_per_token: float | None = None


class Hello(Message, tag="hello"):
    """Who trains what, once the model is loaded. step is the last step already done: 0, or the
    checkpoint's."""

    protocol: int
    world: int
    ranks: list[Rank]
    model: Model
    step: int
    steps: int
    tokens_per_step: int
    resumed_from: str | None = None


PhaseName: TypeAlias = Literal[
    "loading", "compiling", "training", "evaluating", "checkpointing", "paused", "stopping", "done"
]


class Phase(Message, tag="phase"):
    """What the trainer does from now on. step is the last step done. detail is for people."""

    phase: PhaseName
    step: int
    detail: str = ""


class Step(Message, tag="step"):
    """One optimizer step. step counts from 1 over the whole run, resumes included.

    loss is the mean over the predicted tokens of all ranks, in full precision. tokens are those
    of this step on all ranks. split divides seconds, as rank 0 spent them: data, forward, backward,
    optimizer, communication, offload (standing still for state on disk), checkpoint; a part that
    the engine cannot tell apart is absent, and within the others.
    """

    step: int
    loss: float | None
    lr: float
    grad_norm: float | None
    tokens: int
    seconds: float
    split: dict[str, float]


class Eval(Message, tag="eval"):
    """An evaluation after a step: mean loss over tokens predicted tokens."""

    step: int
    loss: float | None
    tokens: int
    seconds: float


class Experts(Message, tag="experts"):
    """Tokens that each expert got over the last `steps` steps, up to and including `step`.

    counts[i][e] belongs to decoder layer layers[i] and expert e, summed over all ranks; each row
    sums to tokens × experts per token, exactly.
    """

    step: int
    steps: int
    layers: list[int]
    counts: list[list[int]]
    tokens: int


class Balance(Message, tag="balance"):
    """The routers' own losses, averaged over the layers and the last `steps` steps, before their
    coefficients. aux_loss is 1 where every expert is as likely as any other and up to the number
    of experts where one takes all; z_loss is the squared log-sum-exp of the logits."""

    step: int
    steps: int
    aux_loss: float | None
    z_loss: float | None


class Updates(Message, tag="updates"):
    """How far each expert moved over the last `steps` steps, up to and including `step`.

    norms[i][e] is the Euclidean norm of the change of the trainable weights (adapters, or all) of
    expert e in decoder layer layers[i], estimated from a fixed sample of each of its matrices;
    exactly zero where none of the sample changed, null where it has none. tokens[i][e] is what it
    got meanwhile, on all ranks.
    """

    step: int
    steps: int
    layers: list[int]
    norms: list[list[float | None]]
    tokens: list[list[int]]


class Memory(Message, tag="memory"):
    """Memory of one rank, in bytes. allocated, reserved and peak are the device allocator's (the
    process's resident set on CPU); host_pinned, offload_cpu and offload_nvme say where the rest
    of the training state lies.

    device_free and device_total are the whole device's, whoever uses it; None on CPU. nvme_read and
    nvme_write are what this rank swapped, in bytes per second since its sample before; offload_wait
    is the fraction of that time in which it stood still for it; nvme_free is the space left where
    the swapped state lies. These four are None where nothing is on disk, the rates also in an
    attempt's first sample.
    """

    step: int
    rank: int
    allocated: int
    reserved: int
    peak: int
    host_pinned: int
    offload_cpu: int
    offload_nvme: int
    device_free: int | None = None
    device_total: int | None = None
    nvme_read: float | None = None
    nvme_write: float | None = None
    nvme_free: int | None = None
    offload_wait: float | None = None


class Checkpoint(Message, tag="checkpoint"):
    """A checkpoint: started, saved (on disk), verified (read back), failed, rejected (found bad
    when a newest good one was sought), pruned, restored (training goes on from it)."""

    step: int
    state: Literal["started", "saved", "verified", "failed", "rejected", "pruned", "restored"]
    path: str
    seconds: float
    bytes: int
    reason: str = ""


class Ack(Message, tag="ack"):
    """The answer to a command. accepted: the ranks will agree on it; done: it took effect after
    `step`; refused: reason says why."""

    id: str
    command: str
    state: Literal["accepted", "done", "refused"]
    step: int
    reason: str = msgspec.field(default_factory=str)  # a factory, so that it is never left out


class Failure(Message, tag="failure"):
    """Something broke. kind is a short stable word (killed, exception, out-of-memory, launcher,
    disk-full, hang, lost, untrained-experts …), rank is None where no single rank is to blame,
    advice says what to do about it or what is being done."""

    kind: str
    rank: int | None
    text: str
    advice: str


class Log(Message, tag="log"):
    """A line for people that belongs in the run's history."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    rank: int | None = None


class Dropped(Message, tag="dropped"):
    """Messages that could not be kept because nobody read them."""

    count: int
    kinds: dict[str, int]


# --- added by the supervisor -----------------------------------------------------------


class Gpu(msgspec.Struct, kw_only=True):
    """One GPU as NVML sees it; None where the sensor is missing. nvlink_* are bytes per second.
    memory_run is what of memory_used belongs to the ranks' processes, with what CUDA itself takes
    for them; None where NVML does not know the processes, as in a container with pids of its own.
    Rows are in the order in which CUDA counts the devices."""

    index: int
    name: str
    memory_used: int | None = None
    memory_total: int | None = None
    memory_run: int | None = None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    sm_clock: float | None = None
    memory_clock: float | None = None
    nvlink_tx: float | None = None
    nvlink_rx: float | None = None


class Process(msgspec.Struct, kw_only=True):
    """One rank's process as the host sees it; None where it cannot be read. disk_read and
    disk_write are what it moved to and from disks of any kind, in bytes per second."""

    rank: int
    pid: int
    rss: int | None = None
    cpu: float | None = None
    disk_read: float | None = None
    disk_write: float | None = None


class System(Message, tag="system"):
    """The host and its GPUs. cpu is a fraction of all cores; rates are bytes per second since the
    sample before; disk_free is on the file system of the run directory; log_size is how long
    trainer.log is: with it what happened can be found there. host is its name, as in `hello`."""

    gpus: list[Gpu]
    processes: list[Process]
    host: str = ""
    ram_used: int | None = None
    ram_total: int | None = None
    swap_used: int | None = None
    cpu: float | None = None
    load: float | None = None
    disk_free: int | None = None
    disk_read: float | None = None
    disk_write: float | None = None
    log_size: int | None = None
    net_sent: float | None = None
    net_received: float | None = None


class Alarm(Message, tag="alarm"):
    """A rule that holds (raised) or no longer does (cleared), known by rule, layer and expert.

    Raised again means another severity. value is the share of tokens relative to the even one for
    the rules about experts; since is when it began, text says it for people. The end of a run ends
    its alarms, without a message for each.
    """

    state: Literal["raised", "cleared"]
    rule: str
    layer: int | None
    expert: int | None
    value: float | None
    step: int
    severity: Literal["note", "warning", "critical"] = "warning"
    since: float | None = None
    text: str = ""


class Acknowledged(Message, tag="acknowledged"):
    """Somebody has seen an alarm that is raised; by names the client. Void once the alarm is
    raised again."""

    rule: str
    layer: int | None
    expert: int | None
    by: str


class Supervisor(Message, tag="supervisor"):
    """What the supervisor itself does: started, took-over (from one that died), restarting (the
    trainer will be started again, text says when and why), ended."""

    state: Literal["started", "took-over", "restarting", "ended"]
    pid: int
    host: str
    text: str = ""


class Launch(Message, tag="launch"):
    """A torchrun was started: the attempt-th of this run, from a checkpoint or from the start."""

    pid: int
    checkpoint: str | None
    reason: str
    restarts_left: int


class Command(Message, tag="command"):
    """A command that arrived, before the trainer answered. by names the client."""

    id: str
    command: str
    by: str
    arguments: dict[str, Any] = {}


class End(Message, tag="end"):
    """The run is over for now: done (all steps), stopped (asked to), failed."""

    state: Literal["done", "stopped", "failed"]
    step: int
    reason: str


FromTrainer: TypeAlias = (
    Hello
    | Phase
    | Step
    | Eval
    | Experts
    | Balance
    | Updates
    | Memory
    | Checkpoint
    | Ack
    | Failure
    | Log
    | Dropped
)
Entry: TypeAlias = FromTrainer | System | Alarm | Acknowledged | Supervisor | Launch | Command | End
"""Anything that can stand in the journal."""

# --- down: to the trainer --------------------------------------------------------------


class Order(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """A command. id is chosen by the sender, unique within the run, and comes back in the ack."""

    id: str


class Pause(Order, tag="pause"):
    """Do no further step until a resume."""


class Resume(Order, tag="resume"):
    """End a pause."""


class SaveCheckpoint(Order, tag="checkpoint"):
    """Write a checkpoint at the next step boundary, or now while paused."""


class Stop(Order, tag="stop"):
    """End the run at the next step boundary, with a checkpoint unless told otherwise."""

    checkpoint: bool = True


class Set(Order, tag="set"):
    """Turn a live knob: lr_scale, balance_coef or log_every."""

    key: str
    value: float


class Received(msgspec.Struct, tag_field="type", tag="received", kw_only=True):
    """The journal holds the trainer's messages up to and including number n of its attempt."""

    n: int
    attempt: int


AnyOrder: TypeAlias = Pause | Resume | SaveCheckpoint | Stop | Set
ToTrainer: TypeAlias = AnyOrder | Received

# --- the client socket -----------------------------------------------------------------


class Subscribe(msgspec.Struct, tag_field="type", tag="subscribe", kw_only=True):
    """From a client: send every journal line after seq, and go on."""

    since: int
    client: str


class Send(msgspec.Struct, tag_field="type", tag="send", kw_only=True):
    """From a client: a command for the run. by names the client, for the journal."""

    order: AnyOrder
    by: str


class Restart(msgspec.Struct, tag_field="type", tag="restart", kw_only=True):
    """From a client: start the trainer again from the newest good checkpoint (no trainer runs)."""

    id: str
    by: str


class Control(msgspec.Struct, tag_field="type", tag="control", kw_only=True):
    """From a client that obeys the controls: of all such clients only the holder's orders are
    followed. want: have them if they are free; watch: know who has them; ask: have them, once the
    holder gives them, leaves, or does not answer; give, keep: the holder's answers, give without
    anybody asking sets them free."""

    action: Literal["want", "watch", "ask", "give", "keep"]
    by: str


class Acknowledge(msgspec.Struct, tag_field="type", tag="acknowledge", kw_only=True):
    """From a client: somebody has seen this alarm."""

    rule: str
    layer: int | None
    expert: int | None
    by: str


class Controls(msgspec.Struct, tag_field="type", tag="controls", kw_only=True):
    """To clients that obey the controls: who holds them ("" for nobody), who asks for them, the
    next first, and after how many seconds they pass to that one. text is for people."""

    holder: str
    yours: bool
    asking: list[str] = []
    passes_in: float | None = None
    text: str = ""


class Greeting(msgspec.Struct, tag_field="type", tag="greeting", kw_only=True):
    """To a client, first: who answers, and the newest line of the journal."""

    protocol: int
    pid: int
    run: str
    seq: int


ToSupervisor: TypeAlias = Subscribe | Send | Restart | Control | Acknowledge
FromSupervisor: TypeAlias = Entry | Controls
"""What a client reads after the greeting."""


# --- lines -----------------------------------------------------------------------------

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_entries: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
_orders: msgspec.json.Decoder[ToTrainer] = msgspec.json.Decoder(ToTrainer)
_served: msgspec.json.Decoder[FromSupervisor] = msgspec.json.Decoder(FromSupervisor)
_requests: msgspec.json.Decoder[ToSupervisor] = msgspec.json.Decoder(ToSupervisor)


def encode(message: msgspec.Struct) -> bytes:
    """The message as one line of JSON with its newline."""
    return _encoder.encode(message) + b"\n"


def decode_entry(line: bytes | bytearray | memoryview) -> Entry | None:
    """A line of the journal or from the trainer; None if it is torn, or of an unknown type."""
    return _decode(_entries, line)


def decode_order(line: bytes | bytearray | memoryview) -> ToTrainer | None:
    """A line to the trainer; None if it is torn, or of an unknown type."""
    return _decode(_orders, line)


def decode_request(line: bytes | bytearray | memoryview) -> ToSupervisor | None:
    """A line from a client; None if it is torn, or of an unknown type."""
    return _decode(_requests, line)


def decode_served(line: bytes | bytearray | memoryview) -> FromSupervisor | None:
    """A line to a client; None if it is torn, or of an unknown type."""
    return _decode(_served, line)


def decode_entries(lines: Iterable[bytes]) -> list[Entry]:
    """All the lines that can be read, in order."""
    return [entry for line in lines if (entry := decode_entry(line)) is not None]


def _decode(decoder: msgspec.json.Decoder[T], line: bytes | bytearray | memoryview) -> T | None:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
