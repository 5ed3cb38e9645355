"""How far experts move, and what is said of one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from llama4_helpers import causal_lm, config
from torch import nn

from trainer.contract.config import Adapter
from trainer.contract.messages import Experts, Failure, Updates
from trainer.llama4 import adapters
from trainer.llama4.counting import RoutingCounter
from trainer.llama4.moe import SparseExperts, make_sparse
from trainer.telemetry import experts as telemetry
from trainer.telemetry.experts import ExpertLoad
from trainer.telemetry.updates import SAMPLES, Movement, UpdateReport, UpdateWatch

EXPERTS = 4
CPU = torch.device("cpu")


def model(targets: list[str] | None = None, **sizes: int) -> nn.Module:
    made = causal_lm(config(EXPERTS, **sizes), torch.float32)
    make_sparse(made)
    if targets is not None:
        settings = Adapter(kind="lora", rank=2, targets=targets)  # type: ignore[arg-type]
        adapters.add(made, settings, torch.float32, seed=0)
    return made


def stacks(made: nn.Module) -> list[list[nn.Parameter]]:
    """The trainable stacks of each layer with experts."""
    found = [m for m in made.modules() if isinstance(m, SparseExperts)]
    return [[p for p in m.parameters() if p.requires_grad] for m in found]


def changes(watch: UpdateWatch) -> torch.Tensor:
    return watch.squares(CPU)[:, :EXPERTS]


def disturb(made: nn.Module, seed: int = 0) -> torch.Tensor:
    """Change every stack but that of expert 1; the norms [L, E] of the changes, in full."""
    chance = torch.Generator().manual_seed(seed)
    squares = torch.zeros(len(stacks(made)), EXPERTS, dtype=torch.float64)
    for row, stack in enumerate(stacks(made)):
        for parameter in stack:
            change = 0.01 * torch.randn(parameter.shape, generator=chance)
            change *= torch.arange(1.0, EXPERTS + 1).view(-1, 1, 1)
            change[1] = 0
            before = parameter.detach().clone()
            parameter.data += change
            moved = (parameter.detach().double() - before.double()).square()
            squares[row] += moved.sum(dim=(1, 2))
    return squares.sqrt()


@pytest.mark.parametrize("targets", [None, ["experts"], ["experts", "router", "attention"]])
def test_of_small_experts_the_norms_are_exact(targets: list[str] | None) -> None:
    made = model(targets, hidden_size=16, intermediate_size=16)
    watch = UpdateWatch(made, rank=0)
    for seed in range(2):  # each from where the one before ended
        norms = disturb(made, seed)
        torch.testing.assert_close(changes(watch).sqrt(), norms)
    assert not changes(watch).any()


def test_of_large_experts_they_are_estimated_from_a_sample() -> None:
    made = model(None, hidden_size=64, intermediate_size=128)
    assert stacks(made)[0][0][0].numel() > 8 * SAMPLES
    watch = UpdateWatch(made, rank=0)
    norms = disturb(made)
    estimate = changes(watch).sqrt()
    assert (estimate[:, 1] == 0).all()
    torch.testing.assert_close(estimate, norms, rtol=0.1, atol=0)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_the_parts_of_zero_3_sum_to_the_whole(world: int) -> None:
    whole, parts = model(["experts"]), [model(["experts"]) for _ in range(world)]
    for rank, part in enumerate(parts):
        for parameter in [p for stack in stacks(part) for p in stack]:
            partition(parameter, rank, world)
    watches = [UpdateWatch(whole, 0)] + [UpdateWatch(p, rank) for rank, p in enumerate(parts)]
    disturb(whole)
    for rank, part in enumerate(parts):
        pairs = zip(stacks(whole), stacks(part), strict=True)
        for source, target in [p for pair in pairs for p in zip(*pair, strict=True)]:
            shard = target.ds_tensor  # type: ignore[attr-defined]
            shard[:] = padded(source, world)[rank * len(shard) :][: len(shard)]
    expected, *found = [watch.squares(CPU) for watch in watches]
    assert expected.any()
    torch.testing.assert_close(sum(found), expected)


def partition(parameter: nn.Parameter, rank: int, world: int) -> None:
    """As ZeRO-3 leaves a parameter: empty, with this rank's part of it flattened and padded."""
    flat = padded(parameter, world)
    size = len(flat) // world
    parameter.ds_numel = parameter.numel()  # type: ignore[attr-defined]
    parameter.ds_tensor = flat[rank * size :][:size].clone()  # type: ignore[attr-defined]
    parameter.data = torch.empty(0)


def padded(parameter: nn.Parameter, world: int) -> torch.Tensor:
    flat = parameter.detach().flatten()
    return torch.cat([flat, flat.new_zeros(-len(flat) % world)])


def test_a_replica_counts_once() -> None:
    made = model(["experts"])
    first, second = UpdateWatch(made, rank=0), UpdateWatch(made, rank=1)
    disturb(made)
    assert first.squares(CPU).any()
    assert not second.squares(CPU).any()


def test_where_no_expert_is_trained_there_is_nothing_to_tell() -> None:
    assert not UpdateWatch(model(["attention"]), rank=0).anything


# --- what is told ------------------------------------------------------------------------


def movement(step: int, sizes: list[float], tokens: list[int], learning: bool = True) -> Movement:
    squares = torch.tensor([sizes] * LAYERS, dtype=torch.float64).square()
    counts = torch.tensor([tokens] * LAYERS)
    return Movement(step, 20, learning, counts, squares + 1, squares)


LEARNS = torch.arange(EXPERTS) != 2
LAYERS = len(UpdateWatch(model(["experts"]), rank=0).layers)


def failures(report: UpdateReport, *movements: Movement) -> list[list[str]]:
    """The texts told after each movement."""
    told = [report.messages(one) for one in movements]
    return [[m.text for m in messages if isinstance(m, Failure)] for messages in told]


def test_an_expert_with_tokens_whose_adapters_stay_zero_is_a_failure_told_once() -> None:
    report = UpdateReport(UpdateWatch(model(["experts"]), rank=0), patience=40)
    sizes, tokens = [0.5, 0.0, 0.1, 0.0], [7, 7, 7, 0]
    first, second, third = failures(report, *(movement(s, sizes, tokens) for s in (20, 40, 60)))
    assert first == third == []
    (text,) = second
    assert "layer 1 expert 1" in text
    assert "expert 3" not in text, "it got no tokens"
    assert "up to step 40" in text


@pytest.mark.parametrize(
    ("targets", "patience", "learning"),
    [(["experts"], 0, True), (["experts"], 20, False), (None, 20, True)],
    ids=["switched off", "a learning rate of zero", "weights without adapters, in their rounding"],
)
def test_no_failure_is_told_of(targets: list[str] | None, patience: int, learning: bool) -> None:
    report = UpdateReport(UpdateWatch(model(targets), rank=0), patience)
    assert failures(report, *(movement(s, [0.0] * 4, [7] * 4, learning) for s in (20, 40))) == [
        [],
        [],
    ]


# --- in a training -----------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_a_training_tells_which_experts_learn_and_which_was_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "APART", 0.0)
    made = model(["experts"])
    for stack in stacks(made):
        for parameter in stack:  # expert 2 gets no gradient, as by a mistake in its kernel
            parameter.register_hook(lambda g: g * LEARNS.view(-1, 1, 1))
    counter = RoutingCounter(made, CPU)
    load = ExpertLoad(counter, 32, every=1, watch=UpdateWatch(made, rank=0), patience=20)
    optimizer = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=1e-3)
    chance, told = torch.Generator().manual_seed(0), []
    for step in range(1, 25):
        tokens = torch.randint(made.config.vocab_size, (1, 32), generator=chance)
        with counter.counting():
            made(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        told += load.add_step(step)
    told += load.drain(24)
    updates = [m for m in told if isinstance(m, Updates)]
    assert [(u.step, u.steps) for u in updates] == [(10, 10), (20, 10)]
    for message in updates:
        for norms, tokens_E in zip(message.norms, message.tokens, strict=True):
            learnt = [norm for expert, norm in enumerate(norms) if expert != 2]
            assert min(tokens_E) > 0
            assert 0 < norms[2] < min(learnt) / 10, "its A decays, and that is all"
        windows = [m for m in told if isinstance(m, Experts)]
        inside = [w for w in windows if message.step - message.steps < w.step <= message.step]
        counts = sum(torch.tensor(w.counts) for w in inside)
        assert torch.equal(torch.as_tensor(counts), torch.tensor(message.tokens))
    (failure,) = [m for m in told if isinstance(m, Failure)]
    assert failure.kind == "untrained-experts"
    assert "layer 1 expert 2" in failure.text
    assert "expert 0" not in failure.text
