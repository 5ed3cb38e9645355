"""Expert counts: what the routers chose, exactly, and once."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_helpers import LAYERS, recounted, tiny_model
from transformers import Llama4ForCausalLM

from trainer.contract.messages import Experts
from trainer.llama4.counting import RoutingCounter, chosen_experts, routers
from trainer.telemetry import experts as telemetry
from trainer.telemetry.experts import ExpertLoad


def counted(model: Llama4ForCausalLM, tokens: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """What the counter counted, and how often each router ran."""
    counter = RoutingCounter(model, torch.device("cpu"))
    runs = [0] * LAYERS

    def watch(row: int) -> Any:
        def count(*_: object) -> None:
            runs[row] += 1

        return count

    for row, (_, router) in enumerate(routers(model)):
        router.register_forward_hook(watch(row))
    with counter.counting():
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    return taken(counter), runs


def taken(counter: RoutingCounter) -> torch.Tensor:
    return counter.read(counter.take()).counts_LE


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("experts", "top_k"), [(1, 1), (16, 1), (16, 2), (128, 1), (128, 2)])
def test_counts_are_those_of_a_recount(experts: int, top_k: int, recompute: bool) -> None:
    tokens = torch.randint(64, (2, 24), generator=torch.Generator().manual_seed(experts))
    wanted = recounted(tiny_model(experts, top_k, recompute=False), tokens)
    counts, runs = counted(tiny_model(experts, top_k, recompute), tokens)
    assert counts.tolist() == wanted
    assert counts.sum(dim=1).tolist() == [tokens.numel() * top_k] * LAYERS
    assert runs == [2 if recompute else 1] * LAYERS, "recomputed, and not counted twice"


def test_only_what_is_inside_counts_and_taking_starts_anew() -> None:
    model = tiny_model(16, 1, recompute=False)
    counter = RoutingCounter(model, torch.device("cpu"))
    tokens = torch.randint(64, (1, 10))
    model(input_ids=tokens)
    assert int(taken(counter).sum()) == 0
    with counter.counting():
        model(input_ids=tokens)
    first = taken(counter)
    assert first.sum(dim=1).tolist() == [10] * LAYERS
    with counter.counting():
        model(input_ids=tokens)
    assert first.sum(dim=1).tolist() == [10] * LAYERS, "what was taken does not change"
    assert taken(counter).sum(dim=1).tolist() == [10] * LAYERS
    assert counter.layers == [0, 1]


def test_an_error_inside_ends_the_counting() -> None:
    counter = RoutingCounter(tiny_model(2, 1, recompute=False), torch.device("cpu"))
    with pytest.raises(ValueError, match="broke"), counter.counting():
        raise ValueError("broke")
    assert not counter._counting


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 2, 16, 128]), st.integers(1, 2), st.integers(0, 2**31), st.booleans())
def test_the_chosen_experts_have_the_highest_logits(
    experts: int, top_k: int, seed: int, half: bool
) -> None:
    top_k = min(top_k, experts)
    logits = torch.randn(20, experts, generator=torch.Generator().manual_seed(seed))
    logits = logits.to(torch.bfloat16) if half else logits
    for row, picked in zip(logits.tolist(), chosen_experts(logits, top_k).tolist(), strict=True):
        assert len(set(picked)) == top_k
        others = [value for expert, value in enumerate(row) if expert not in picked]
        assert min(row[expert] for expert in picked) >= max(others, default=-1e9)


# --- windows -----------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Trained:
    """A model whose steps only route, and the load that is told of them."""

    def __init__(self, every: int) -> None:
        self.model = tiny_model(16, 1, recompute=False)
        self.counter = RoutingCounter(self.model, torch.device("cpu"))
        self.load = ExpertLoad(self.counter, tokens_per_step=8, every=every)
        self.messages: list[Any] = []

    def step(self, number: int) -> None:
        with torch.no_grad(), self.counter.counting():
            self.model(input_ids=torch.randint(64, (1, 8)))
        self.keep(self.load.add_step(number))

    def keep(self, messages: list[Any]) -> None:
        self.messages += [message for message in messages if isinstance(message, Experts)]


def check(messages: list[Any], steps: int, tokens_per_step: int) -> None:
    """Together they hold every step once, and each row sums to its window's tokens."""
    last = 0
    for message in messages:
        assert message.step - message.steps == last, "windows follow each other without a gap"
        last = message.step
        assert message.tokens == message.steps * tokens_per_step
        assert message.layers == [0, 1]
        assert [sum(row) for row in message.counts] == [message.tokens] * LAYERS
    assert last == steps


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("every", [1, 3, 7, 50])
def test_windows_hold_every_step_once_and_their_sums_are_exact(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(telemetry, "APART", 0.0)
    trained = Trained(every)
    for number in range(1, 21):
        trained.step(number)
    trained.keep(trained.load.drain(20))
    check(trained.messages, steps=20, tokens_per_step=8)
    assert all(message.steps % every == 0 for message in trained.messages[:-1])


@pytest.mark.usefixtures("alone")
def test_however_fast_the_steps_messages_are_a_second_apart_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "APART", 0.15)
    trained, sent = Trained(every=1), []
    for number in range(1, 101):
        before, started = len(trained.messages), time.monotonic()
        trained.step(number)
        if len(trained.messages) > before:
            sent.append((started, time.monotonic()))
        time.sleep(0.003)
    trained.keep(trained.load.drain(100))
    assert 2 <= len(sent) < 50
    assert all(later[1] - earlier[0] >= 0.15 for earlier, later in itertools.pairwise(sent))
    check(trained.messages, steps=100, tokens_per_step=8)


def test_a_second_is_the_distance_that_the_design_promises() -> None:
    assert telemetry.APART == 1.0


@pytest.mark.usefixtures("alone")
def test_a_drain_shows_everything_and_an_empty_one_nothing() -> None:
    trained = Trained(every=10)
    assert trained.load.drain(0) == []
    for number in range(1, 4):
        trained.step(number)
    trained.keep(trained.load.drain(3))
    check(trained.messages, steps=3, tokens_per_step=8)
    assert trained.load.drain(3) == []


@pytest.mark.usefixtures("alone")
def test_a_new_interval_takes_effect_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "APART", 0.0)
    trained = Trained(every=5)
    for number in range(1, 31):
        trained.step(number)
        if number == 7:
            trained.load.every = 2
    trained.keep(trained.load.drain(30))
    check(trained.messages, steps=30, tokens_per_step=8)


def test_counts_of_two_ranks_are_summed_exactly(tmp_path: Path) -> None:
    """Each process routes its own tokens, and recounts them; only rank 0 gets messages."""
    script = Path(__file__).with_name("counting_process.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "group"), str(rank)],
            stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    answers = [msgspec.json.decode(rank.communicate(timeout=60)[0]) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert answers[1]["messages"] == []
    total = torch.zeros(LAYERS, 16, dtype=torch.int64)
    for message in answers[0]["messages"]:
        assert [sum(row) for row in message["counts"]] == [message["tokens"]] * LAYERS
        total += torch.tensor(message["counts"])
    recount = torch.tensor(answers[0]["recount"]) + torch.tensor(answers[1]["recount"])
    assert total.tolist() == recount.tolist()
    assert sum(message["steps"] for message in answers[0]["messages"]) == 12
