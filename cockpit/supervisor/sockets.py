"""Unix sockets that only this user can reach, under short names, re-made if they are swept away.

They do not lie in the run directory: that may be on NFS or Lustre, where sockets fail, and its
path may be longer than the 107 bytes that the kernel takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from trainer.contract import messages

LONGEST = 107
"""Bytes of a socket's path."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class NoSocketFolder(OSError):
    """There is no folder for sockets; the text says what was tried."""


def folder() -> Path:
    """A private folder for sockets, made if need be: in $XDG_RUNTIME_DIR, else in the temporary
    folder. Raises NoSocketFolder."""
    reasons = []
    for candidate in _candidates():
        try:
            _make_private(candidate)
        except OSError as error:
            reasons.append(f"{candidate}: {error.strerror or error}")
            continue
        if len(os.fsencode(candidate / _name(candidate, ".sock.new"))) > LONGEST:
            reasons.append(f"{candidate}: the path is too long for a socket")
            continue
        return candidate
    raise NoSocketFolder(f"no folder for sockets ({'; '.join(reasons)})")


def _candidates() -> Iterator[Path]:
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "l4cockpit"
    for temporary in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108 - checked below
        yield Path(temporary) / f"l4cockpit-{os.getuid()}"


def _make_private(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "is not a folder")
    if found.st_uid != os.getuid():
        raise PermissionError(0, "belongs to another user")
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(0, "is not writable")


def path_for(run_path: Path, ending: str) -> Path:
    """The socket of a run in today's folder. Raises NoSocketFolder."""
    return folder() / _name(run_path, ending)


def _name(run_path: Path, ending: str) -> str:
    return hashlib.sha256(os.fsencode(run_path)).hexdigest()[:16] + ending


def same_user(connection: socket.socket) -> bool:
    """Whether the other end of a connection belongs to this user."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())


class Endpoint:
    """A listening socket at a path. Connections of other users are dropped unheard."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._inode: tuple[int, int] | None = None

    async def open(self) -> None:
        """Listen. What lay at the path before goes; raises OSError."""
        _make_private(self.path.parent)
        making = self.path.with_name(self.path.name + ".new")
        making.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(making))
            making.chmod(0o600)
            listener.listen(128)
            listener.setblocking(False)
            self._inode = _inode(making)
            making.rename(self.path)  # never a moment without a socket, or with an open one
            self._server = await asyncio.start_unix_server(
                self._accept, sock=listener, limit=messages.LIMIT
            )
        except BaseException:
            listener.close()
            making.unlink(missing_ok=True)
            raise

    async def ensure(self) -> bool:
        """Listen again if the path has vanished (systemd empties /run/user/UID when its user logs
        out). Returns whether that was needed; raises OSError where it cannot be done."""
        if self._inode is not None and _inode(self.path) == self._inode:
            return False
        self._stop()
        await self.open()
        return True

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if _inode(self.path) == self._inode:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._inode = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if same_user(writer.get_extra_info("socket")):
                await self._handler(reader, writer)
        except OSError:
            pass  # it hung up
        finally:
            writer.close()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
