"""What differs only in how it is computed gives the same steps, under real DeepSpeed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALIKE = {
    "zero 3": (
        ["train.loss=stock"],
        ["activation_checkpointing=full"],
        ["activation_checkpointing=selective"],
    ),
    "zero 3, lora": (
        ["adapter.kind=lora", "adapter.targets=[attention, experts]", "train.loss=stock"],
        [
            "adapter.kind=lora",
            "adapter.targets=[attention, experts]",
            "activation_checkpointing=selective",
        ],
    ),
    "zero 2": (
        ["engine.zero_stage=2", "engine.offload_params=none", "train.loss=stock"],
        ["engine.zero_stage=2", "engine.offload_params=none", "train.loss=chunked"],
    ),
}
"""Settings on top of the preset tiny, by what they have in common: the first is stock."""

_HERE = ("engine.offload_params=none", "engine.offload_optimizer=none")
EIGHT_BIT = {
    "adamw8bit, zero 2": ["engine.zero_stage=2", *_HERE, "optimizer.kind=adamw8bit"],
    "adamw8bit, zero 3, offloaded": ["optimizer.kind=adamw8bit"],
}
_LORA = ["adapter.kind=lora", "adapter.targets=[attention, shared, experts, router]"]
BALANCED = {
    "balanced, zero 3": ["moe.bias_rate=0.05", "moe.balance_coef=0.1"],
    "balanced, zero 3, lora": ["moe.bias_rate=0.05", "moe.z_coef=0.1", *_LORA],
    "balanced, zero 1": ["engine.zero_stage=1", *_HERE, "moe.bias_rate=0.05"],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of each rank, by name and number of the settings."""
    folder = tmp_path_factory.mktemp("steps")
    cases = {
        f"{name} {number}": ["model.dtype=float32", *settings]
        for name, variants in ALIKE.items()
        for number, settings in enumerate(variants)
    }
    for name, settings in [*EIGHT_BIT.items(), *BALANCED.items()]:
        cases[name] = ["model.dtype=float32", *settings]
        cases[f"{name}, resumed"] = [*cases[name], "resumed"]
    (folder / "cases.json").write_text(json.dumps(cases))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, "-m", "tests.e2e.engine_steps", str(folder / "cases.json")],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", ALIKE)
def test_the_steps_are_stocks(name: str, results: list[dict[str, Any]]) -> None:
    for rank in results:
        stock = rank[f"{name} 0"]
        assert all(norm > 0 for norm in stock["norms"])
        for number in range(1, len(ALIKE[name])):
            ours = rank[f"{name} {number}"]
            assert ours["losses"] == pytest.approx(stock["losses"], rel=1e-5)
            assert ours["norms"] == pytest.approx(stock["norms"], rel=1e-4)
            assert ours["weights"].keys() == stock["weights"].keys()
            for parameter, values in stock["weights"].items():
                # Adam's first steps go by the sign of a gradient, however small it is.
                assert ours["weights"][parameter] == pytest.approx(values, abs=1e-4), parameter


def test_a_rank_without_a_label_has_no_loss_and_hangs_nobody(
    results: list[dict[str, Any]],
) -> None:
    first = {name: [rank[name]["losses"][0] for rank in results] for name in results[0]}
    assert all(losses[0] > 0 and losses[1] == 0 for losses in first.values())


@pytest.mark.parametrize("name", EIGHT_BIT)
def test_with_moments_of_8_bits_a_resumed_run_has_the_same_bits(
    name: str, results: list[dict[str, Any]]
) -> None:
    for rank in results:
        assert rank[f"{name}, resumed"] == rank[name]
    # The first step is Adam's own in any precision: each weight moves by the learning rate.
    usual = results[0]["zero 3 0"]
    assert results[0][name]["losses"][:2] == pytest.approx(usual["losses"][:2], rel=1e-4)
    assert results[0][name]["losses"][2] != usual["losses"][2]


@pytest.mark.parametrize("name", BALANCED)
def test_biases_of_routers_go_on_from_where_they_were(
    name: str, results: list[dict[str, Any]]
) -> None:
    for rank in results:
        assert rank[f"{name}, resumed"] == rank[name]
    biases = results[0][name]["biases"]
    assert results[1][name]["biases"] == biases, "moved by what all ranks counted"
    assert any(abs(steps) > 1 for layer in biases for steps in layer), "before and after"
    assert sum(map(len, biases)) == 4 * 16
