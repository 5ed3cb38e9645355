"""Packed data: documents one after another, cut into sequences of equal length, on disk.

A document that the end of a sequence cuts goes on in the next as a document of its own: it does
not see its first part, and its positions count from 0 again.

A prepared data set is a folder: tokens.npy (uint32 [sequences, length]), loss.npy and starts.npy
(bool, the same shape: is this token predicted from the one before; does a document start here?),
tokenizer.json, and meta.json. The folder's name is a hash of everything that went in, so a
changed input is a new folder, and it appears by a rename, so that a half-made one is never seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from trainer.contract.config import Config, ConfigError
from trainer.data import source, tokenizer

FORMAT = 3
FILES = ("tokens.npy", "loss.npy", "starts.npy", "tokenizer.json", "meta.json")


@dataclass(frozen=True)
class PackedData:
    """Sequences in memory-mapped files.

    tokens_SL: ids; loss_SL: whether the token is predicted from the one before, as the first of a
    document never is; starts_SL: whether a document starts; predicted_S: how many of a
    sequence's tokens are predicted.
    """

    tokens_SL: npt.NDArray[np.uint32]
    loss_SL: npt.NDArray[np.bool_]
    starts_SL: npt.NDArray[np.bool_]
    predicted_S: npt.NDArray[np.int64]
    vocabulary: int

    def __len__(self) -> int:
        return len(self.tokens_SL)


def prepare(config: Config) -> Path:
    """The folder of the prepared data of a run, made if it is not there; raises ConfigError."""
    examples = source.examples(config.data.path)
    folder = _cache(config) / f"packed-{_key(config, examples)}"
    if not _whole(folder):
        _write(folder, config, examples)
    return folder


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def load(folder: Path) -> PackedData:
    """A prepared data set."""
    meta = json.loads((folder / "meta.json").read_text())
    loss_SL = np.load(folder / "loss.npy", mmap_mode="r")
    return PackedData(
        tokens_SL=np.load(folder / "tokens.npy", mmap_mode="r"),
        loss_SL=loss_SL,
        starts_SL=np.load(folder / "starts.npy", mmap_mode="r"),
        predicted_S=loss_SL.sum(axis=1, dtype=np.int64),
        vocabulary=meta["vocabulary"],
    )


def pack(
    documents: Sequence[tuple[list[int], int]], length: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tokens, whether each is predicted, and whether it starts a document, all [sequences,
    length], of documents given as ids and how many at the start carry no loss. The tail that
    fills no sequence is left out."""
    total = sum(len(ids) for ids, _ in documents) // length * length
    tokens = np.fromiter((i for ids, _ in documents for i in ids), np.uint32)[:total]
    loss = np.concatenate([np.arange(len(ids)) >= silent for ids, silent in documents])[:total]
    starts = np.concatenate([np.arange(len(ids)) == 0 for ids, _ in documents])[:total]
    starts[::length] = True
    loss &= ~starts
    return tokens.reshape(-1, length), loss.reshape(-1, length), starts.reshape(-1, length)


def positions(starts_BS: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Each token's position in its document, [B, S], from where documents start; what begins a
    row counts from 0 in any case."""
    indices_S = np.arange(starts_BS.shape[1])
    newest_BS = np.maximum.accumulate(np.where(starts_BS, indices_S, 0), axis=1)
    return indices_S - newest_BS


def _cache(config: Config) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(config.data.cache or Path(home) / "l4cockpit").expanduser()


def _key(config: Config, examples: Sequence[source.Example]) -> str:
    model = tokenizer.file(config.model.path).read_text("utf-8") if config.model.path else None
    vocabulary = config.model.tiny.vocabulary if config.model.tiny else None
    digest = hashlib.sha256(json.dumps([FORMAT, model, vocabulary, config.data.seq_len]).encode())
    for example in examples:
        digest.update(json.dumps([example.prompt, example.completion]).encode())
    return digest.hexdigest()[:20]


def _write(folder: Path, config: Config, examples: Sequence[source.Example]) -> None:
    words = _tokenizer(config, examples)
    documents = [tokenizer.encode(words, example) for example in examples]
    tokens, loss, starts = pack(documents, config.data.seq_len)
    if not len(tokens):
        raise ConfigError(
            f"data.path: {config.data.path} does not fill one sequence of data.seq_len "
            f"{config.data.seq_len} tokens"
        )
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        np.save(making / "tokens.npy", tokens)
        np.save(making / "loss.npy", loss)
        np.save(making / "starts.npy", starts)
        words.save(str(making / "tokenizer.json"))
        meta = {"format": FORMAT, "vocabulary": words.get_vocab_size(), "sequences": len(tokens)}
        (making / "meta.json").write_text(json.dumps(meta))
        try:
            making.rename(folder)
        except OSError:
            if not _whole(folder):  # else another run made the same folder meanwhile
                shutil.rmtree(folder)
                making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _tokenizer(config: Config, examples: Sequence[source.Example]) -> Tokenizer:
    if config.model.tiny:
        return tokenizer.train(examples, config.model.tiny.vocabulary)
    return tokenizer.load(config.model.path or "")
