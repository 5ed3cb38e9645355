"""The optimizers: what decays, and moments of 8 bits."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
import torch
from torch import nn

from trainer import optimizer
from trainer.contract.config import ConfigError, Optimizer

SIZE = 128 * 256


def weights() -> nn.Parameter:
    return nn.Parameter(torch.randn(128, 256, generator=torch.Generator().manual_seed(0)))


def step(made: torch.optim.Optimizer, parameter: nn.Parameter, number: int) -> None:
    chance = torch.Generator().manual_seed(number)
    parameter.grad = 0.01 * torch.randn(parameter.shape, generator=chance) + 0.002
    made.step()


def make(kind: Any, *parameters: nn.Parameter, **more: Any) -> torch.optim.Optimizer:
    made = optimizer.make(list(parameters), Optimizer(kind=kind, **more))
    for group in made.param_groups:
        group["lr"] = 1e-3
    return made


@pytest.mark.parametrize("kind", ["adamw", "adamw8bit"])
def test_matrices_decay_and_vectors_do_not(kind: str) -> None:
    matrix, vector = weights(), nn.Parameter(torch.ones(8))
    groups = make(kind, matrix, vector, weight_decay=0.1).param_groups
    assert [(g["weight_decay"], g["params"]) for g in groups] == [(0.1, [matrix]), (0.0, [vector])]
    (only,) = make(kind, matrix, vector).param_groups
    assert only["weight_decay"] == 0.0
    before = matrix.detach().clone()
    decaying = make(kind, matrix, weight_decay=0.5)
    matrix.grad = torch.zeros_like(matrix)
    decaying.step()
    torch.testing.assert_close(matrix, before * (1 - 1e-3 * 0.5))


def test_moments_of_8_bits_take_two_bytes_a_weight_instead_of_eight() -> None:
    held = {}
    for kind in ("adamw", "adamw8bit"):
        parameter = weights()
        made = make(kind, parameter)
        step(made, parameter, 1)
        of_size = [v for k, v in made.state[parameter].items() if k != "step" and "qmap" not in k]
        held[kind] = sum(v.numel() * v.element_size() for v in of_size) / SIZE
    assert held["adamw"] == 8
    assert 2 < held["adamw8bit"] < 2.05  # and a float32 for every 256 of each


def test_moments_of_8_bits_go_nearly_the_same_way() -> None:
    exact, rough = weights(), weights()
    start, made = exact.detach().clone(), [make("adamw", exact), make("adamw8bit", rough)]
    for number in range(1, 31):
        step(made[0], exact, number)
        step(made[1], rough, number)
    assert not torch.equal(exact, rough)
    assert (rough - exact).norm() < 0.1 * (exact - start).norm()


def test_moments_of_8_bits_go_on_after_a_load_with_the_same_bits() -> None:
    straight, resumed = weights(), weights()
    one, first = make("adamw8bit", straight), make("adamw8bit", resumed)
    for number in range(1, 9):
        step(one, straight, number)
    for number in range(1, 4):
        step(first, resumed, number)
    second = make("adamw8bit", resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number in range(4, 9):
        step(second, resumed, number)
    assert torch.equal(straight, resumed)


def test_without_the_library_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(ConfigError, match=r"optimizer\.kind adamw8bit needs bitsandbytes"):
        make("adamw8bit", weights())
