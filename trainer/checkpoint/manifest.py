"""The manifest of a checkpoint: what belongs to it, written last; and what is wrong with one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

MANIFEST = "manifest.json"
FORMAT = 1
CHUNK = 2**20


class File(msgspec.Struct, kw_only=True):
    """Size in bytes and SHA-256, in hexadecimal."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    """Everything that a checkpoint is.

    step and tokens: trained so far; data_cursor: sequences consumed; world: ranks that wrote it;
    files: by path relative to the checkpoint; knobs: live settings in force; digest: SHA-256 of
    all the rest, so that a damaged number does not pass for a right one.
    """

    step: int
    tokens: int
    data_cursor: int
    world: int
    files: dict[str, File]
    knobs: dict[str, float]
    versions: dict[str, str]
    created: float
    digest: str = ""
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files.values())


class BadCheckpoint(Exception):
    """Why a checkpoint cannot be used, in a few words."""


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with its digest, on disk when this returns."""
    path = folder / MANIFEST
    manifest.digest = _digest(manifest)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    flush(path)
    for directory in {file.parent for file in folder.rglob("*")}:
        flush(directory)


def _digest(manifest: Manifest) -> str:
    rest = msgspec.structs.replace(manifest, digest="")
    return hashlib.sha256(msgspec.json.encode(rest)).hexdigest()


def read(folder: Path) -> Manifest:
    """The manifest; raises BadCheckpoint where there is none that can be read."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BadCheckpoint("it has no manifest: it was not finished") from None
    except OSError as error:
        raise BadCheckpoint(f"its manifest cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadCheckpoint("its manifest is damaged") from None
    if manifest.format != FORMAT:
        raise BadCheckpoint(f"it has format {manifest.format}, this version reads {FORMAT}")
    if manifest.digest != _digest(manifest):
        raise BadCheckpoint("its manifest is damaged")
    return manifest


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Raise BadCheckpoint unless every file is there at its size."""
    for name, file in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            raise BadCheckpoint(f"{name} is missing") from None
        if size != file.size:
            raise BadCheckpoint(f"{name} has {size} bytes, not {file.size}")


def check_contents(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Raise BadCheckpoint unless these files have their checksums."""
    for name in names:
        try:
            found = describe(folder / name)
        except OSError as error:
            raise BadCheckpoint(f"{name} cannot be read: {error.strerror}") from None
        if found != manifest.files[name]:
            raise BadCheckpoint(f"{name} does not match its checksum")


def files_below(folder: Path) -> list[str]:
    """Relative paths of the files of a checkpoint, its manifest left out, sorted."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return sorted(str(path.relative_to(folder)) for path in paths)


def describe(path: Path) -> File:
    """Size and checksum of a file; raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(size=size, sha256=digest.hexdigest())


def flush(path: Path) -> None:
    """Have a file or folder on disk before going on; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
