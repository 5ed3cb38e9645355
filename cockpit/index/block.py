"""The format of an index file: blocks, one behind the other, each about a stretch of the journal.

A block is 8 bytes of magic, the head's length and CRC-32 (two little-endian u32), the head
(MessagePack of Head), and the body: columns of little-endian numbers. It is appended in one
write and believed only if both checksums hold, so that a torn one ends the file.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from hashlib import blake2b

import msgspec
import numpy as np

from cockpit.columns import Array

MAGIC = b"l4index\x01"
_PREFIX = struct.Struct("<8sII")
_HEAD_LIMIT = 2**24
_SAMPLE = 4096


class Place(msgspec.Struct, array_like=True):
    """Where a column is: its numpy type, and its offset in the body. A column of one value
    everywhere takes no room: offset is −1 then."""

    kind: str
    offset: int
    value: float = 0.0


class Head(msgspec.Struct, array_like=True):
    """What a block is about: the bytes start ≤ i < end of the journal, whole lines, and in them
    entries up to number seq. sample is a digest of the last bytes before end."""

    start: int
    end: int
    seq: int
    sample: bytes
    steps: int
    columns: dict[str, Place]
    rewinds: list[tuple[int, int]]
    """(i, step): before row i of the block an attempt went on from this step."""
    entries: dict[str, tuple[int, int]]
    """By kind, how many other entries there are, and their offset in the body: as three columns
    of <u4: offset from start, length, and step."""
    body: int
    body_crc: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Head)


class Damaged(Exception):
    """What was read is no block, or not all of one."""


def encode(
    start: int,
    end: int,
    seq: int,
    sample: bytes,
    columns: Mapping[str, Array],
    rewinds: list[tuple[int, int]],
    entries: Mapping[str, Array],
) -> bytes:
    """A block. columns are arrays [N] by name, entries arrays [3, M] of u4 by kind."""
    body: list[bytes] = []
    size = 0

    def add(values: Array) -> int:
        nonlocal size
        body.append(values.tobytes())
        size += len(body[-1])
        return size - len(body[-1])

    steps = len(next(iter(columns.values()), ()))
    places = {}
    for name, values in columns.items():
        value = float(values[0]) if steps else 0.0
        # A constant must come back as it was: not every whole number is a float.
        constant = np.full(steps, value, values.dtype)
        same = np.array_equal(values, constant, equal_nan=values.dtype.kind == "f")
        places[name] = (
            Place(values.dtype.str, -1, value) if same else Place(values.dtype.str, add(values))
        )
    found = {kind: (int(where.shape[1]), add(where)) for kind, where in entries.items()}
    content = b"".join(body)
    head = _encoder.encode(
        Head(start, end, seq, sample, steps, places, rewinds, found, size, zlib.crc32(content))
    )
    return _PREFIX.pack(MAGIC, len(head), zlib.crc32(head)) + head + content


def read_head(descriptor: int, at: int) -> tuple[Head, int]:
    """The head of the block at an offset of a file, and where its body begins. Raises Damaged
    if there is none, and OSError."""
    prefix = os.pread(descriptor, _PREFIX.size, at)
    if len(prefix) < _PREFIX.size:
        raise Damaged("the file ends")
    magic, length, crc = _PREFIX.unpack(prefix)
    if magic != MAGIC or length > _HEAD_LIMIT:
        raise Damaged("no block")
    data = os.pread(descriptor, length, at + _PREFIX.size)
    if len(data) < length or zlib.crc32(data) != crc:
        raise Damaged("a torn head")
    try:
        return _decoder.decode(data), at + _PREFIX.size + length
    except msgspec.DecodeError as error:
        raise Damaged(str(error)) from None


def body_holds(descriptor: int, head: Head, at: int) -> bool:
    """Whether the body that begins at an offset is whole. Raises OSError."""
    crc, done = 0, 0
    while done < head.body:
        piece = os.pread(descriptor, min(head.body - done, 2**20), at + done)
        if not piece:
            return False
        crc, done = zlib.crc32(piece, crc), done + len(piece)
    return crc == head.body_crc


def read_column(descriptor: int, head: Head, body: int, name: str) -> Array:
    """A column of the block whose body begins at `body` [N]; NaN if it has none of that name."""
    place = head.columns.get(name)
    if place is None:
        return np.full(head.steps, np.nan, np.float32)
    kind = np.dtype(place.kind)
    if place.offset < 0:
        return np.full(head.steps, place.value, kind)
    return np.frombuffer(
        _exactly(descriptor, head.steps * kind.itemsize, body + place.offset), kind
    )


def read_entries(descriptor: int, head: Head, body: int, kind: str) -> Array:
    """Where the entries of a kind are [3, M]: offset in the journal, length, step."""
    count, offset = head.entries.get(kind, (0, 0))
    data = _exactly(descriptor, 12 * count, body + offset)
    found = np.frombuffer(data, "<u4").reshape(3, -1).astype(np.int64)
    found[0] += head.start
    return found


def _exactly(descriptor: int, length: int, at: int) -> bytes:
    data = os.pread(descriptor, length, at)
    if len(data) < length:
        raise OSError("the index ends before its end")
    return data


def sample(journal: int, start: int, end: int) -> bytes:
    """A digest of the last bytes before `end` of a journal (a descriptor), back to start at most.
    Raises OSError."""
    first = max(start, end - _SAMPLE)
    return blake2b(os.pread(journal, end - first, first), digest_size=8).digest()
