"""`pause`, `resume`, `checkpoint`, `stop`: give a run an order, and wait if asked to."""

from __future__ import annotations

import argparse
import asyncio
import os

from cockpit import client, runs, state
from cockpit.client import Client, NoSupervisor
from cockpit.commands.output import DONE, FAILED, Problem, tell
from cockpit.runs import Run
from cockpit.state import RunState
from trainer.contract import messages
from trainer.contract.messages import AnyOrder, Entry

_ECHO_WITHIN = 10.0


def control(options: argparse.Namespace) -> int:
    """One of the four commands."""
    run = runs.find(runs.runs_root(options.runs_dir), options.run)
    try:
        return asyncio.run(_control(run, options))
    except NoSupervisor as error:
        raise Problem(FAILED, str(error)) from None


async def _control(run: Run, options: argparse.Namespace) -> int:
    now = state.current(run)
    if now.state == "lost" or (not now.over and not await client.ensure_supervisor(run)):
        now = state.current(run)
    if options.command == "resume":
        return await _resume(run, now, options.wait)
    if now.over:
        raise Problem(FAILED, f"{run.name} is {now.state} ({now.detail}); nothing to do here")
    return await _order(run, _order_for(options), options.wait)


def _order_for(options: argparse.Namespace) -> AnyOrder:
    identifier = client.new_id()
    if options.command == "pause":
        return messages.Pause(id=identifier)
    if options.command == "checkpoint":
        return messages.SaveCheckpoint(id=identifier)
    return messages.Stop(id=identifier, checkpoint=not options.no_checkpoint)


async def _resume(run: Run, now: RunState, wait: bool) -> int:
    """Un-pause, or start again."""
    pausing = any(pending.name == "pause" for pending in now.pending.values())
    if now.state == "paused" or (pausing and not now.over):
        return await _order(run, messages.Resume(id=client.new_id()), wait)
    if now.state == "done":
        raise Problem(FAILED, f"{run.name} is done ({now.detail}); there is nothing to resume")
    if now.state == "restarting":
        connection = await Client.connect(run, None, _name())
        return await _answer(run, connection, await connection.restart(), "restart", wait)
    if not now.over:
        raise Problem(FAILED, f"{run.name} is not paused, it is {now.state}")
    await client.start_supervisor(run)
    tell(f"{run.name} starts again from its newest good checkpoint")
    return await _until_training(run, now.seq) if wait else DONE


async def _order(run: Run, order: AnyOrder, wait: bool) -> int:
    connection = await Client.connect(run, None, _name())
    name = str(order.__struct_config__.tag)
    return await _answer(run, connection, await connection.send(order), name, wait)


async def _answer(run: Run, connection: Client, identifier: str, name: str, wait: bool) -> int:
    """Until the supervisor has journalled the order, or until it is done or refused. Should the
    supervisor die meanwhile, another takes the order up from the journal."""
    seq = connection.greeting.seq
    while True:
        limit = None if wait else _ECHO_WITHIN
        try:
            async with asyncio.timeout(limit):
                async for entries in connection.batches():
                    for entry in entries:
                        seq = max(seq, entry.seq)
                        if (code := _judge(entry, identifier, name, run, wait)) is not None:
                            return code
        except TimeoutError:
            raise Problem(FAILED, f"the supervisor of {run.name} does not answer") from None
        finally:
            await connection.close()
        now = state.current(run)
        if now.over or not await client.ensure_supervisor(run):
            raise Problem(FAILED, f"{run.name} is {now.state} ({now.detail}); no {name}")
        connection = await Client.connect(run, seq, _name())


def _judge(entry: Entry, identifier: str, name: str, run: Run, wait: bool) -> int | None:
    """The exit code, if this entry decides it."""
    if isinstance(entry, messages.Ack) and entry.id == identifier:
        if entry.state == "refused":
            raise Problem(FAILED, f"{name} refused: {entry.reason}")
        if entry.state == "done" and name != "stop":
            tell(f"{run.name}: {name} done after step {entry.step}")
            return DONE
    if isinstance(entry, messages.End) and name == "stop":  # only now can it be resumed
        tell(f"{run.name}: {entry.state} after step {entry.step}: {entry.reason}")
        return FAILED if entry.state == "failed" else DONE
    if not wait and isinstance(entry, messages.Command) and entry.id == identifier:
        tell(f"{run.name}: {name} sent")
        return DONE
    return None


async def _until_training(run: Run, seq: int) -> int:
    connection = await Client.connect(run, seq, _name())
    try:
        async for entries in connection.batches():
            for entry in entries:
                if isinstance(entry, messages.End):
                    raise Problem(FAILED, f"{run.name} is {entry.state}: {entry.reason}")
                if isinstance(entry, messages.Phase) and entry.phase == "training":
                    tell(f"{run.name}: training on after step {entry.step}")
                    return DONE
    finally:
        await connection.close()
    raise Problem(FAILED, f"{run.name} is {state.current(run).state}")


def _name() -> str:
    return f"l4cockpit (pid {os.getpid()})"
