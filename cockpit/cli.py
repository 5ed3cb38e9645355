"""`l4cockpit`: the command line. Each command's work is in cockpit.commands."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from cockpit import settings, terminal, version
from cockpit.commands.output import FAILED, INTERRUPTED, NOT_FOUND, USAGE, Problem, Screen, tell
from cockpit.settings import CHOICES

_EPILOG = """\
examples:
  l4cockpit run tiny                       train a tiny random Llama 4 and watch it
  l4cockpit run tiny --set train.steps=50 --detach
  l4cockpit attach                         come back to the newest run
  l4cockpit stop --wait NAME               checkpoint and stop
  l4cockpit resume NAME                    un-pause, or go on from the newest good checkpoint

RUN is a run's name, its id, or the beginning of either.
exit codes: 0 done, 1 the run failed, 2 bad usage or configuration, 3 not found,
            4 this machine can't run it, 130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Complains in one line that says where to read on."""

    def error(self, message: str) -> NoReturn:
        tell(f"{message} (see {self.prog} --help)")
        sys.exit(USAGE)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes longer than all else here."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(self, *_: object) -> NoReturn:
        sys.stdout.write(f"l4cockpit {version()}\n")
        sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        options = _parser().parse_args(_checked(sys.argv[1:] if arguments is None else arguments))
        code = _open(_work(options)(options), options)
        sys.stdout.flush()
    except Problem as problem:
        tell(problem.text)
        return problem.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `| head` has had enough. Python would complain while flushing stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        tell(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
        return FAILED
    return code


def _open(outcome: int | Screen, options: argparse.Namespace) -> int:
    if isinstance(outcome, int):
        return outcome
    try:
        wanted = settings.load(settings.path(os.environ, Path.home()))
    except settings.SettingsError as error:
        raise Problem(USAGE, str(error)) from None
    wanted = wanted.but(vars(options))
    terminal.prepare(wanted.terminal(os.environ), os.environ)
    gc.disable()  # what is imported stays; to look for garbage in it is a sixth of the start
    from cockpit.app import run_app  # noqa: PLC0415 - Textual is slow to import

    return run_app(outcome.root, outcome.run, outcome.readonly, wanted)


def _work(options: argparse.Namespace) -> Callable[[argparse.Namespace], int | Screen]:
    """The function of a command. Modules are imported as they are needed: --help is instant."""
    from cockpit.commands import control, launching, looking  # noqa: PLC0415
    from cockpit.runs import RunError  # noqa: PLC0415

    commands: dict[str | None, Callable[[argparse.Namespace], int | Screen]] = {
        None: looking.home,
        "run": launching.run,
        "attach": looking.attach,
        "ps": looking.ps,
        "status": looking.status,
        "events": looking.events,
        "logs": looking.logs,
        "presets": looking.list_presets,
    }
    work = commands.get(options.command, control.control)

    def found(given: argparse.Namespace) -> int | Screen:
        try:
            return work(given)
        except RunError as error:
            raise Problem(NOT_FOUND, str(error)) from None

    return found


_COMMANDS = (
    "run", "attach", "ps", "status", "events", "logs", "pause", "resume", "checkpoint", "stop",
    "presets",
)  # fmt: skip


def _checked(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments, if their command exists."""
    words = [word for word in arguments if not word.startswith("-")]
    first = words[0] if words and arguments[0] == words[0] else None
    if first is not None and first not in _COMMANDS:
        near = get_close_matches(first, _COMMANDS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_COMMANDS)}"
        raise Problem(USAGE, f"no command {first}; {hint}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="l4cockpit",
        description="A terminal cockpit for fine-tuning Llama 4. Without a command: the home "
        "screen, with runs and presets.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="say which version this is")
    _add_runs_dir(parser, None)
    _add_screen(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", parser_class=_Parser
    )
    _add_run(commands)
    _add_lookers(commands)
    _add_controls(commands)
    presets = _command(commands, "presets", "list what can be run", "l4cockpit presets --json")
    presets.add_argument("--json", action="store_true", help="one JSON array")
    return parser


def _add_runs_dir(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--runs-dir",
        metavar="DIR",
        default=default,
        help="where runs lie (default: $L4COCKPIT_RUNS_DIR, else ./runs)",
    )


def _add_screen(parser: argparse.ArgumentParser) -> None:
    """Options that go before the settings file."""
    screen = parser.add_argument_group("screen", "these go before the settings file (see README)")
    for name, does in (
        ("theme", "colours for a dark or light background"),
        ("colours", "how many there are"),
    ):
        screen.add_argument(
            f"--{name}", choices=CHOICES[name], metavar="|".join(CHOICES[name]), help=does,
            default=argparse.SUPPRESS,
        )  # fmt: skip
    for name, does in (
        ("ascii", "draw with ASCII alone"),
        ("low-bandwidth", "draw charts and maps less often, as over SSH"),
    ):
        screen.add_argument(
            f"--{name}", action="store_const", const="true", help=does, default=argparse.SUPPRESS
        )


def _command(
    commands: argparse._SubParsersAction[_Parser], name: str, does: str, *examples: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        epilog="\n".join(("examples:", *(f"  {example}" for example in examples))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Also before the command; SUPPRESS keeps what was given there.
    _add_runs_dir(parser, argparse.SUPPRESS)
    return parser


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = _command(
        commands,
        "run",
        "start a run and watch it; it outlives the terminal",
        "l4cockpit run tiny",
        "l4cockpit run tiny --set train.steps=500 --set train.lr=1e-3 --name baseline",
        "l4cockpit run ./mine.yaml --detach     prints the run's id and returns",
        "l4cockpit run tiny --headless          plain lines, as without a terminal",
    )
    run.add_argument("preset", metavar="PRESET", help="a name from `presets`, or a YAML file")
    run.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="change a key, as in train.steps=100"
    )
    run.add_argument("--name", help="what to call the run (default: its id)")
    _add_screen(run)
    how = run.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="print the run's id and return")
    how.add_argument("--headless", action="store_true", help="print progress in plain lines")


def _add_lookers(commands: argparse._SubParsersAction[_Parser]) -> None:
    attach = _command(
        commands,
        "attach",
        "watch a run, or look back at one that is over",
        "l4cockpit attach             the newest run",
        "l4cockpit attach baseline --readonly",
    )
    attach.add_argument("run", metavar="RUN", nargs="?", help="default: the newest")
    _add_screen(attach)
    attach.add_argument("--readonly", action="store_true", help="watch without the controls")
    for name, does, as_json in (
        ("ps", "list the runs", "one JSON array"),
        ("status", "say what a run does", "one JSON object"),
        ("events", "print a run's history", "one JSON object a line, as in the journal"),
        ("logs", "print what torchrun and its ranks printed", "one JSON object a line"),
    ):
        looker = _command(commands, name, does, f"l4cockpit {name}", f"l4cockpit {name} --json")
        newest = "default: all" if name == "ps" else "default: the newest"
        looker.add_argument("run", metavar="RUN", nargs="?", help=newest)
        looker.add_argument("--json", action="store_true", help=as_json)
        if name != "ps":
            looker.add_argument("--follow", action="store_true", help="go on until it is over")


def _add_controls(commands: argparse._SubParsersAction[_Parser]) -> None:
    for name, does in (
        ("pause", "do no further step until resumed"),
        ("resume", "un-pause a run, or start a stopped or failed one again from its newest "
         "good checkpoint"),
        ("checkpoint", "write a checkpoint now"),
        ("stop", "checkpoint and end a run; `resume` goes on from there"),
    ):  # fmt: skip
        control = _command(commands, name, does, f"l4cockpit {name} RUN --wait")
        control.add_argument("run", metavar="RUN", help="name, id, or beginning of either")
        control.add_argument("--wait", action="store_true", help="until it is done or refused")
        if name == "stop":
            control.add_argument(
                "--no-checkpoint", action="store_true", help="lose the steps since the last one"
            )


if __name__ == "__main__":
    sys.exit(main())
