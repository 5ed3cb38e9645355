"""Messages as lines of JSON: nothing is lost on the way, and nothing foreign does harm."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_helpers import phase, quick, step

from trainer.contract import messages

ENTRIES = get_args(messages.Entry)
ORDERS = get_args(messages.ToTrainer)
REQUESTS = get_args(messages.ToSupervisor)

# JSON numbers of other readers are 64 bits wide; texts may hold anything but lone surrogates.
numbers = st.integers(-(2**63), 2**63 - 1)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if kind is int:
        return numbers
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind is Any:
        return st.none() | st.booleans() | numbers | st.text()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return instances(kind)
    return st.from_type(kind) if not get_args(kind) else composed(kind)


def composed(kind: Any) -> st.SearchStrategy[Any]:
    inner = get_args(kind)
    match getattr(kind, "__origin__", None):
        case origin if origin is list:
            return st.lists(values_of(inner[0]), max_size=3)
        case origin if origin is dict:
            return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)
    if str(kind).startswith("typing.Literal"):
        return st.sampled_from(inner)
    return st.one_of(*(st.none() if k is type(None) else values_of(k) for k in inner))


def instances(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {f.encode_name: values_of(f.type) for f in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


any_entry = st.one_of(*map(instances, ENTRIES))
any_order = st.one_of(*map(instances, ORDERS))
any_request = st.one_of(*map(instances, REQUESTS))


@quick
@given(any_entry)
def test_an_entry_survives_its_line(entry: Any) -> None:
    line = messages.encode(entry)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert messages.decode_entry(line) == entry


@quick
@given(any_order)
def test_an_order_survives_its_line(order: Any) -> None:
    assert messages.decode_order(messages.encode(order)) == order


@quick
@given(any_request)
def test_a_request_survives_its_line(request: Any) -> None:
    assert messages.decode_request(messages.encode(request)) == request


@pytest.mark.parametrize("kinds", [ENTRIES, ORDERS, REQUESTS])
def test_no_two_messages_share_a_type(kinds: tuple[Any, ...]) -> None:
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(set(tags)) == len(tags)


def test_lines_are_flat_and_carry_the_stable_names() -> None:
    message = step(3, loss=1.0000000000000002)
    message.seq, message.time = 17, 1764000000.123
    line = json.loads(messages.encode(message))
    assert {"seq": 17, "time": 1764000000.123, "type": "step", "step": 3}.items() <= line.items()
    assert {"loss", "lr", "grad_norm", "tokens", "seconds", "split"} <= set(line)
    assert line["loss"] == 1.0000000000000002


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (messages.Experts, "step steps layers counts tokens"),
        (messages.Memory, "step rank allocated reserved peak host_pinned offload_cpu offload_nvme"),
        (messages.Phase, "phase step"),
        (messages.Checkpoint, "step state path seconds bytes"),
        (messages.Ack, "id command state reason"),
        (messages.Alarm, "state rule layer expert value step"),
        (messages.Failure, "kind rank text advice"),
    ],
)
def test_names_that_scripts_read_stay(kind: Any, names: str) -> None:
    assert set(names.split()) <= set(kind.__struct_fields__)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_travels_as_null(value: float) -> None:
    line = messages.encode(step(1, loss=value, grad_norm=value))
    assert json.loads(line)["loss"] is None
    entry = messages.decode_entry(line)
    assert isinstance(entry, messages.Step)
    assert (entry.loss, entry.grad_norm) == (None, None)


@quick
@given(any_entry, st.dictionaries(st.from_regex(r"new_[a-z]{1,5}", fullmatch=True), numbers))
def test_unknown_fields_are_ignored(entry: Any, more: dict[str, int]) -> None:
    line = json.dumps(json.loads(messages.encode(entry)) | more).encode()
    assert messages.decode_entry(line) == entry


def test_absent_optional_fields_take_their_defaults() -> None:
    entry = messages.decode_entry(b'{"type": "phase", "phase": "training", "step": 3}')
    assert entry == messages.Phase(phase="training", step=3)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"17",
        b"[]",
        b"{}",
        b'{"type": "from-the-future", "step": 3}',
        b'{"type": "phase", "phase": "dreaming", "step": 3}',
        b'{"type": "phase", "phase": "training"}',
        b'{"type": "phase", "phase": "training", "step": "3"}',
        b'{"type": "log", "level": "info", "text": "\xff"}',
        b'{"type": "phase", "more": ' + b"[" * 100_000,
        b"\x00" * 100,
    ],
)
def test_what_cannot_be_read_is_no_message_and_no_error(line: bytes) -> None:
    assert messages.decode_entry(line) is None
    assert messages.decode_order(line) is None
    assert messages.decode_request(line) is None


@quick
@given(st.binary())
def test_no_bytes_break_a_reader(line: bytes) -> None:
    messages.decode_entry(line)
    messages.decode_order(line)
    messages.decode_request(line)


@quick
@given(any_entry, st.data())
def test_a_torn_line_is_skipped(entry: Any, data: st.DataObject) -> None:
    line = messages.encode(entry).rstrip(b"\n")
    torn = line[: data.draw(st.integers(0, len(line) - 1))]
    assert messages.decode_entry(torn) is None


def test_what_can_be_read_of_many_lines_comes_in_order() -> None:
    good = [step(1), phase(1), step(2)]
    lines = [messages.encode(message) for message in good]
    lines.insert(1, b'{"type": "new"}\n')
    lines.append(messages.encode(step(3))[:20])
    assert messages.decode_entries(lines) == good
