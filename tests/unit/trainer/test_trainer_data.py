"""Data: text to packed sequences, on disk once, and batches that follow from the step alone."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trainer_helpers import quick

from trainer.batches import Batches
from trainer.contract import config as configuration
from trainer.contract.config import TOPICS, Config, ConfigError
from trainer.data import packed, sampler, source, tokenizer
from trainer.data.source import Example

TEXT = "the quick brown fox jumps over a lazy dog while every other animal sleeps"
WORDS = TEXT.split()


def config_for(path: Path | str, cache: Path, **more: Any) -> Config:
    values = {
        "model": {"tiny": {"vocabulary": 512}},
        "data": {"path": str(path), "cache": str(cache), "seq_len": 16} | more,
    }
    return configuration.build(values)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    file = tmp_path / "text.jsonl"
    rows = [
        {"prompt": f"Say {word} {other}.", "completion": f"{other} {word} " * 3}
        for word, other in itertools.combinations(WORDS, 2)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


# --- packing -----------------------------------------------------------------------------

documents = st.lists(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20).flatmap(
        lambda ids: st.tuples(st.just(ids), st.integers(0, len(ids)))
    ),
    min_size=1,
    max_size=20,
)


@quick
@given(documents, st.integers(1, 12))
def test_sequences_one_after_another_are_the_documents_one_after_another(
    drawn: list[tuple[list[int], int]], length: int
) -> None:
    tokens, loss, starts = packed.pack(drawn, length)
    ids = [i for document, _ in drawn for i in document]
    assert tokens.shape == loss.shape == starts.shape == (len(ids) // length, length)
    assert tokens.dtype == np.uint32
    assert loss.dtype == starts.dtype == np.bool_
    assert tokens.ravel().tolist() == ids[: tokens.size]


@quick
@given(documents, st.integers(1, 12))
def test_a_token_is_predicted_from_those_before_it_in_its_document(
    drawn: list[tuple[list[int], int]], length: int
) -> None:
    _, loss, starts = packed.pack(drawn, length)
    places = [(n, silent) for document, silent in drawn for n in range(len(document))]
    for index, (n, silent) in enumerate(places[: loss.size]):
        begins = n == 0 or index % length == 0
        assert starts.ravel()[index] == begins
        assert loss.ravel()[index] == (n >= silent and not begins)


@quick
@given(documents, st.integers(1, 12))
def test_positions_count_from_the_start_of_a_document_or_of_what_a_cut_left_of_it(
    drawn: list[tuple[list[int], int]], length: int
) -> None:
    _, _, starts = packed.pack(drawn, length)
    places = [n for document, _ in drawn for n in range(len(document))]
    wanted = [min(n, index % length) for index, n in enumerate(places[: starts.size])]
    assert packed.positions(starts).ravel().tolist() == wanted
    unmarked = starts.copy()
    unmarked[:, 0] = False
    assert np.array_equal(packed.positions(unmarked), packed.positions(starts))


def test_a_prompt_carries_no_loss_and_an_answer_all_of_it() -> None:
    example = Example(prompt="the quick", completion="brown fox")
    words = tokenizer.train([example], 512)
    ids, silent = tokenizer.encode(words, example)
    begin, answer, end = (words.token_to_id(t) for t in ("<|begin|>", "<|answer|>", "<|end|>"))
    assert ids[0] == begin
    assert ids[silent - 1] == answer
    assert words.decode(ids[1 : silent - 1]) == "the quick"
    assert words.decode(ids[silent:-1]) == "brown fox"
    assert ids[-1] == end


def test_plain_text_carries_loss_on_everything_but_its_first_token() -> None:
    example = Example(prompt="", completion="brown fox")
    words = tokenizer.train([example], 512)
    ids, silent = tokenizer.encode(words, example)
    assert silent == 1
    assert words.decode(ids[1:-1]) == "brown fox"


def test_the_same_text_gives_the_same_tokenizer() -> None:
    examples = source.examples(TOPICS)[:20]
    one, two = (tokenizer.train(examples, 600).to_str() for _ in range(2))
    assert one == two


@quick
@given(st.text())
def test_any_text_survives_the_trained_tokenizer(text: str) -> None:
    words = tokenizer.train([Example("", "abc")], 512)
    assert words.decode(words.encode(text, add_special_tokens=False).ids) == text


# --- where examples come from ------------------------------------------------------------


def test_the_help_topics_of_python_are_instruction_data() -> None:
    examples = source.examples(TOPICS)
    assert len(examples) > 50
    assert all(example.prompt and example.completion for example in examples)
    assert any("while" in example.prompt for example in examples)


def test_json_lines_hold_pairs_or_text(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "a", "completion": "b", "id": 3}\n\n{"text": "c"}\n')
    assert source.examples(str(file)) == [Example("a", "b"), Example("", "c")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{torn", "line 2: not JSON"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "line 2: not JSON"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b"17", "line 2: wants `prompt` and `completion`, or `text`, as strings"),
        (b'{"prompt": "a"}', "line 2: wants `prompt`"),
        (b'{"text": 3}', "line 2: wants `prompt`"),
        (b'{"text": "\\ud800"}', "line 2: holds half a character (a lone surrogate)"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(ConfigError) as error:
        source.examples(str(file))
    assert said in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"data.path: cannot read"):
        source.examples(str(tmp_path / name))


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ConfigError, match="holds no examples"):
        source.examples(str(tmp_path / "empty.jsonl"))


# --- on disk -----------------------------------------------------------------------------


def test_prepared_data_is_what_was_packed(text_file: Path, tmp_path: Path) -> None:
    folder = packed.prepare(config_for(text_file, tmp_path / "cache"))
    data = packed.load(folder)
    assert data.tokens_SL.shape == data.loss_SL.shape == data.starts_SL.shape == (len(data), 16)
    assert data.predicted_S.tolist() == [int(row.sum()) for row in data.loss_SL]
    assert not (data.loss_SL & data.starts_SL).any()
    assert data.starts_SL[:, 1:].any(), "documents start within sequences, too"
    assert int(data.tokens_SL.max()) < data.vocabulary <= 512
    assert {file.name for file in folder.iterdir()} == {
        "tokens.npy", "loss.npy", "starts.npy", "tokenizer.json", "meta.json",
    }  # fmt: skip


def test_prepared_data_is_made_once(text_file: Path, tmp_path: Path) -> None:
    config = config_for(text_file, tmp_path / "cache")
    folder = packed.prepare(config)
    before = (folder / "tokens.npy").stat()
    assert packed.prepare(config) == folder
    after = (folder / "tokens.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_whatever_changes_the_data_makes_it_anew(text_file: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folders = {packed.prepare(config_for(text_file, cache))}
    folders.add(packed.prepare(config_for(text_file, cache, seq_len=32)))
    bigger = config_for(text_file, cache)
    assert bigger.model.tiny
    bigger.model.tiny.vocabulary = 600
    folders.add(packed.prepare(bigger))
    with text_file.open("a") as file:
        file.write('{"text": "more"}\n')
    folders.add(packed.prepare(config_for(text_file, cache)))
    assert len(folders) == 4


def test_another_tokenizer_in_the_same_place_makes_the_data_anew(
    text_file: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    config = config_for(text_file, tmp_path / "cache")
    config.model.tiny, config.model.path = None, str(model)
    folders = set()
    for vocabulary in (280, 300):
        tokenizer.train(source.examples(str(text_file)), vocabulary).save(
            str(model / "tokenizer.json")
        )
        folders.add(packed.prepare(config))
    assert len(folders) == 2


def test_a_model_without_tokenizer_is_named(text_file: Path, tmp_path: Path) -> None:
    config = config_for(text_file, tmp_path / "cache")
    config.model.tiny, config.model.path = None, str(tmp_path)
    with pytest.raises(ConfigError, match=r"model.path: no tokenizer.json in"):
        packed.prepare(config)


def test_half_made_data_never_has_the_name_of_made_data(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, save, seen = tmp_path / "cache", np.save, []

    def watched(*arguments: Any) -> None:
        seen.append(list(cache.glob("packed-*")))
        save(*arguments)
        seen.append(list(cache.glob("packed-*")))

    monkeypatch.setattr(np, "save", watched)
    packed.prepare(config_for(text_file, cache))
    assert seen == [[]] * 6
    assert [file.name[:7] for file in cache.iterdir()] == ["packed-"], "nothing else is left"


def test_a_cache_that_lost_files_is_made_anew(text_file: Path, tmp_path: Path) -> None:
    config = config_for(text_file, tmp_path / "cache")
    folder = packed.prepare(config)
    whole = packed.load(folder).tokens_SL.tolist()
    (folder / "meta.json").unlink()
    (folder / "loss.npy").unlink()
    assert packed.load(packed.prepare(config)).tokens_SL.tolist() == whole


PREPARES = """
import sys
from trainer.contract import config
from trainer.data import packed
values = {"model": {"tiny": {"vocabulary": 512}}}
values["data"] = {"path": sys.argv[1], "cache": sys.argv[2], "seq_len": 16}
made = config.build(values)
print("ready", flush=True)
sys.stdin.readline()
print(packed.prepare(made))
"""


def test_two_processes_that_prepare_at_once_end_with_the_same_data(
    text_file: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", PREPARES, str(text_file), str(cache)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    found = [Path(process.communicate()[0].strip()) for process in both_going(processes)]
    assert [process.returncode for process in processes] == [0, 0]
    assert found[0] == found[1]
    assert len(packed.load(found[0])) > 0
    assert list(cache.iterdir()) == [found[0]]


def both_going(processes: list[Any]) -> list[Any]:
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def test_data_that_fills_no_sequence_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.jsonl"
    file.write_text('{"text": "a"}\n')
    with pytest.raises(ConfigError, match=r"does not fill one sequence of data.seq_len 1000"):
        packed.prepare(config_for(file, tmp_path / "cache", seq_len=1000))


def test_a_cache_that_cannot_be_written_is_an_error_of_the_system(
    text_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(OSError, match="cache"):
        packed.prepare(config_for(text_file, tmp_path / "cache"))


def test_the_cache_lies_where_the_user_says(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(text_file, tmp_path)
    config.data.cache = None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = packed.prepare(config)
    assert folder.parent == tmp_path / "xdg" / "l4cockpit"
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(folder)


# --- order -------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 40), st.integers(0, 5), st.integers(1, 17))


@quick
@given(sizes)
def test_every_sequence_comes_once_per_epoch(drawn: tuple[int, int, int]) -> None:
    sequences, seed, size = drawn
    steps = -(-3 * sequences // size)
    seen = np.concatenate([sampler.batch(sequences, seed, s, size) for s in range(1, steps + 1)])
    for epoch in range(3):
        part = seen[epoch * sequences : (epoch + 1) * sequences]
        assert sorted(part.tolist()) == list(range(sequences))


@quick
@given(sizes, st.lists(st.integers(1, 200), min_size=1, max_size=10))
def test_a_batch_follows_from_seed_and_step_whatever_came_before(
    drawn: tuple[int, int, int], steps: list[int]
) -> None:
    sequences, seed, size = drawn
    in_order = {s: sampler.batch(sequences, seed, s, size).tolist() for s in sorted(steps)}
    sampler._order.cache_clear()
    assert {s: sampler.batch(sequences, seed, s, size).tolist() for s in steps} == in_order


def test_seeds_and_epochs_differ_in_their_order() -> None:
    orders = [sampler.batch(50, seed, step, 50).tolist() for seed in (0, 1) for step in (1, 2)]
    assert len({tuple(order) for order in orders}) == 4


@quick
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_the_shares_of_the_ranks_divide_a_batch(world: int, micro: int, accumulated: int) -> None:
    batch = np.arange(world * micro * accumulated)
    shares = [sampler.share(batch, rank, world, micro) for rank in range(world)]
    assert all(part.shape == (accumulated, micro) for part in shares)
    assert sorted(np.concatenate(shares, axis=None).tolist()) == batch.tolist()


@pytest.mark.parametrize("world", [1, 2])
def test_the_batches_of_all_ranks_hold_the_steps_sequences_and_agree_on_what_is_predicted(
    text_file: Path, tmp_path: Path, world: int
) -> None:
    config = config_for(text_file, tmp_path / "cache")
    config.train.micro_batch, config.train.grad_accum = 2, 3
    data = packed.load(packed.prepare(config))
    ranks = [Batches(config, data, rank, world, torch.device("cpu")) for rank in range(world)]
    assert ranks[0].tokens_per_step == world * 2 * 3 * 16
    for step in (1, 2, 50):
        drawn = [list(rank.of(step)) for rank in ranks]
        assert all([batch.last for batch in each] == [False, False, True] for each in drawn)
        batches = [batch for each in drawn for batch in each]
        rows = np.concatenate([batch.tokens.numpy() for batch in batches])
        wanted = data.tokens_SL[sampler.batch(len(data), 0, step, world * 6)]
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, wanted.tolist()))
        predicted = sum(int((batch.labels[:, 1:] != -100).sum()) for batch in batches)
        assert {batch.predicted for batch in batches} == {predicted}
        for batch in batches:
            carried = batch.labels != -100
            assert torch.equal(batch.labels[carried], batch.tokens[carried])
            assert batch.positions.shape == batch.tokens.shape
            assert not carried[batch.positions == 0].any()
        starts = np.concatenate([batch.positions.numpy() == 0 for batch in batches])
        wanted = data.starts_SL[sampler.batch(len(data), 0, step, world * 6)]
        assert sorted(map(tuple, starts.tolist())) == sorted(map(tuple, wanted.tolist()))
