"""Spans: which tokens see which, against a mask written down token by token."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packing_helpers import CHUNK, LENGTHS, positions_of, stock_config
from trainer_helpers import quick

from trainer.llama4.spans import Spans, attention_inputs


def seen(spans: Spans) -> np.ndarray:
    """[T, T]: does the token of a row see the token of a column?"""
    starts = spans.starts_N1.tolist()
    sees = np.zeros((starts[-1], starts[-1]), dtype=bool)
    for first, end in itertools.pairwise(starts):
        sees[first:end, first:end] = np.tri(end - first, dtype=bool)
    return sees


def seen_one_by_one(rows: list[list[int]], length: int, chunk: int | None) -> np.ndarray:
    """The definition. rows: the document lengths of every row."""
    tokens = [
        (row, document, position)
        for row, lengths in enumerate(rows)
        for document, size in enumerate(lengths)
        for position in range(size)
    ]
    assert len(tokens) == len(rows) * length

    def sees(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
        same_document = one[:2] == other[:2]
        same_chunk = chunk is None or one[2] // chunk == other[2] // chunk
        return same_document and same_chunk and other[2] <= one[2]

    return np.array([[sees(one, other) for other in tokens] for one in tokens])


@st.composite
def batches(draw: st.DrawFn) -> list[list[int]]:
    """Rows of one length, each cut into documents in its own way."""
    length = sum(first := draw(LENGTHS))
    rows = [first]
    for _ in range(draw(st.integers(0, 2))):
        cuts = draw(st.sets(st.integers(1, length), max_size=4)) | {length}
        rows.append(np.diff([0, *sorted(cuts)]).tolist())
    return rows


@quick
@given(batches())
def test_tokens_see_what_came_before_them_in_their_document_and_chunk(
    rows: list[list[int]],
) -> None:
    positions = torch.cat([positions_of(lengths) for lengths in rows])
    inputs = attention_inputs(positions, stock_config())
    masks = inputs["attention_mask"]
    length = positions.shape[1]
    assert np.array_equal(seen(masks["full_attention"]), seen_one_by_one(rows, length, None))
    assert np.array_equal(seen(masks["chunked_attention"]), seen_one_by_one(rows, length, CHUNK))
    for spans in masks.values():
        lengths = np.diff(spans.starts_N1.numpy()).tolist()
        assert [size for count, size in spans.runs for _ in range(count)] == lengths
        assert spans.longest == max(lengths)
        assert spans.starts_N1.dtype == torch.int32
        assert torch.equal(spans.positions_BS, positions)
    assert torch.equal(inputs["position_ids"], positions)


def test_a_row_that_goes_on_with_a_document_is_cut_at_the_documents_chunks() -> None:
    chunked = attention_inputs(torch.arange(6, 20)[None], stock_config())["attention_mask"][
        "chunked_attention"
    ]
    assert chunked.starts_N1.tolist() == [0, 2, 10, 14]


def test_sequences_of_one_length_are_one_run() -> None:
    positions = torch.arange(4 * CHUNK).repeat(3, 1)
    masks = attention_inputs(positions, stock_config())["attention_mask"]
    assert masks["full_attention"].runs == ((3, 4 * CHUNK),)
    assert masks["chunked_attention"].runs == ((12, CHUNK),)


def test_without_a_chunk_size_chunked_layers_see_whole_documents() -> None:
    config = stock_config(attention_chunk_size=None)
    masks = attention_inputs(torch.arange(50)[None], config)["attention_mask"]
    assert masks["chunked_attention"].runs == ((1, 50),)


@pytest.mark.parametrize("positions", [[[0, 1, 3]], [[0, 0, 2]], [[-1, 0, 1]], [[]], [0, 1]])
def test_positions_that_do_not_count_are_refused(positions: list[object]) -> None:
    with pytest.raises(ValueError, match="positions must be"):
        attention_inputs(torch.tensor(positions, dtype=torch.int64), stock_config())
