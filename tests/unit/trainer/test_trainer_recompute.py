"""Activation checkpointing: the same numbers, less kept, and of what is dear nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from trainer.contract import config as configuration
from trainer.llama4 import adapters, build
from trainer.llama4.attention import model_inputs
from trainer.llama4.counting import RoutingCounter
from trainer.llama4.recompute import is_dear

CPU = torch.device("cpu")
KINDS = ["none", "selective", "full"]
TOKENS = torch.randint(64, (2, 32), generator=torch.Generator().manual_seed(5))
DEAR = ("_scaled_dot_product_flash_attention_for_cpu", "grouped_mm", "quantized_grouped_mm")


class Watch(TorchDispatchMode):
    """How often each operator really ran."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.ran[operator.name().partition("::")[2].partition(".")[0]] += 1
        return operator(*args, **(kwargs or {}))


@dataclass
class Pass:
    """A forward and a backward pass."""

    loss: float
    gradients: dict[str, torch.Tensor]
    kept: int  # bytes at the end of the forward pass
    flops: int
    forward: Counter[str]
    backward: Counter[str]
    counts: torch.Tensor


def trained(kind: str, **more: Any) -> Pass:
    values = {
        "model": {
            "dtype": "float32",
            "tiny": {"hidden": 32, "intermediate": 64, "experts": 4, "layers": 2, "chunk": 16},
        },
        "activation_checkpointing": kind,
    }
    config = configuration.build(values | more)
    model = build.build(config, build.text_config(config, vocabulary=64))
    if config.adapter.kind != "none":
        adapters.add(model, config.adapter, torch.float32, seed=0)
        with torch.no_grad():  # so that they do something
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.01)
    model.train()
    counter = RoutingCounter(model, CPU)
    inputs = model_inputs(model, torch.arange(32).expand(2, -1), CPU)
    torch.manual_seed(3)
    forward, backward = Watch(), Watch()
    with FlopCounterMode(display=False) as flops:
        with forward, counter.counting(), Held(model) as held:
            loss = model(input_ids=TOKENS, labels=TOKENS, **inputs).loss
        with backward:
            loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    counts = counter.read(counter.take()).counts_LE
    return Pass(
        loss.item(), gradients, held.bytes, flops.get_total_flops(),
        forward.ran, backward.ran, counts,
    )  # fmt: skip


class Held(TorchDispatchMode):
    """Bytes of the tensors made inside that are still alive at the end, each storage once."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self._not_new = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self._storages: dict[int, Any] = {}
        self.bytes = 0

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = operator(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._storages[storage.data_ptr()] = (storage._weak_ref(), storage.nbytes())
        return result

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for address, (reference, size) in self._storages.items():
            alive = torch.UntypedStorage._new_with_weak_ptr(reference) is not None
            self.bytes += size if alive and address not in self._not_new else 0


CASES: dict[str, dict[str, Any]] = {
    "all weights": {},
    "adapters": {"adapter": {"kind": "lora", "targets": ["attention", "experts"], "rank": 2}},
    "adapters with dropout": {
        "adapter": {"kind": "lora", "targets": ["attention", "experts"], "dropout": 0.3}
    },
    "quantised": {
        "adapter": {"kind": "qlora", "quant": "int8", "targets": ["experts"]},
        "engine": {"zero_stage": 2},
    },
    "stock": {"moe": {"kind": "stock"}, "train": {"loss": "stock"}},
}


@pytest.fixture(scope="module", params=CASES)
def passes(request: pytest.FixtureRequest) -> dict[str, Pass]:
    return {kind: trained(kind, **CASES[request.param]) for kind in KINDS}


def test_loss_and_gradients_have_the_same_bits(passes: dict[str, Pass]) -> None:
    none = passes["none"]
    assert none.gradients
    for other in (passes["selective"], passes["full"]):
        assert other.loss == none.loss
        assert other.gradients.keys() == none.gradients.keys()
        assert all(torch.equal(other.gradients[n], g) for n, g in none.gradients.items())


def test_experts_are_counted_once(passes: dict[str, Pass]) -> None:
    for each in passes.values():
        assert each.counts.sum(1).tolist() == [TOKENS.numel()] * 2
        assert torch.equal(each.counts, passes["none"].counts)


def test_selective_lies_between_in_memory_and_in_work(passes: dict[str, Pass]) -> None:
    none, selective, full = (passes[kind] for kind in KINDS)
    assert full.kept < selective.kept < none.kept
    assert none.flops < selective.flops <= full.flops


def test_selective_computes_no_attention_and_no_experts_product_twice(
    passes: dict[str, Pass],
) -> None:
    none, selective, full = (passes[kind] for kind in KINDS)
    found = [name for name in DEAR if none.forward[name]]
    assert "_scaled_dot_product_flash_attention_for_cpu" in found
    for name in found:
        assert selective.forward[name] == none.forward[name]
        assert full.backward[name] > none.backward[name]
        if name != "grouped_mm":  # an adapter's second product is cheap, and computed again
            assert selective.backward[name] == none.backward[name]


def test_what_selective_keeps_is_what_is_dear() -> None:
    selective, full = trained("selective"), trained("full")
    attention = TOKENS.numel() * (32 + 4) * 4  # its output, and a log-sum-exp of each head
    products = TOKENS.numel() * (2 * 64 + 32) * 4
    assert selective.kept - full.kept == 2 * (attention + products)
    again = TOKENS.numel() * 2 * 3 * 32 * 64  # gate, up and down of the one chosen expert
    assert full.flops - selective.flops == 2 * again
    assert selective.backward["grouped_mm"] == trained("none").backward["grouped_mm"]


@pytest.mark.parametrize(
    ("name", "inner", "outer", "dear"),
    [
        ("aten::_grouped_mm", 5120, 16384, True),
        ("l4cockpit::grouped_mm", 8192, 5120, True),
        ("aten::_grouped_mm", 5120, 16, True),
        ("aten::_grouped_mm", 64, 16384, False),
    ],
)
def test_of_an_adapter_the_second_product_is_computed_again(
    name: str, inner: int, outer: int, dear: bool
) -> None:
    weight = torch.empty(16, inner, outer, device="meta")
    assert is_dear(name, (torch.empty(4, inner, device="meta"), weight)) == dear
