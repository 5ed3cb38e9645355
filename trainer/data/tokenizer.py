"""The tokenizer: the model's own, or a byte-pair one trained on the data for tiny models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from trainer.contract.config import ConfigError
from trainer.data.source import Example

BEGIN, ANSWER, END = "<|begin|>", "<|answer|>", "<|end|>"


def train(examples: Iterable[Example], vocabulary: int) -> Tokenizer:
    """A byte-level byte-pair tokenizer of at most `vocabulary` entries, markers included. The
    same text gives the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, ANSWER, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (text for example in examples for text in (example.prompt, example.completion))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def file(model: str) -> Path:
    """The tokenizer of a checkpoint in Hugging Face format; raises ConfigError."""
    path = Path(model).expanduser() / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"model.path: no tokenizer.json in {path.parent}")
    return path


def load(model: str) -> Tokenizer:
    """The tokenizer of a checkpoint in Hugging Face format; raises ConfigError."""
    return Tokenizer.from_file(str(file(model)))


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], int]:
    """Token ids of a document, and how many at its start carry no loss."""
    begin, answer, end = (_marker(tokenizer, name) for name in (BEGIN, ANSWER, END))
    # Text that spells a marker is text: it must not end a document or fake a prompt.
    tokenizer.encode_special_tokens = True
    completion = tokenizer.encode(example.completion, add_special_tokens=False).ids
    if not example.prompt:
        return [begin, *completion, end], 1
    prompt = tokenizer.encode(example.prompt, add_special_tokens=False).ids
    return [begin, *prompt, answer, *completion, end], len(prompt) + 2


# The markers under the names that Llama 4's own tokenizer has for them.
_LLAMA4 = {BEGIN: "<|begin_of_text|>", ANSWER: "<|header_end|>", END: "<|eot|>"}


def _marker(tokenizer: Tokenizer, name: str) -> int:
    token = tokenizer.token_to_id(name)
    token = tokenizer.token_to_id(_LLAMA4[name]) if token is None else token
    if token is None:
        raise ConfigError(f"model.path: the tokenizer knows neither {name} nor {_LLAMA4[name]}")
    return int(token)
