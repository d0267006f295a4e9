"""What all commands share: options, progress on stderr, one document on stdout."""

from __future__ import annotations

import argparse
import functools
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from aina_core import jobs, models
from aina_core.errors import StoppedError


@dataclass(frozen=True)
class Ended:
    """The end of a command whose exit status says more than that it is done."""

    status: int
    message: str


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report an error in the options in one line, and point to the help."""
        line = " ".join(message.splitlines())
        self.exit(2, f"aina: {line}; see: {self.prog} --help\n")


class Completion(argparse.Action):
    """Prints a completion script for a shell to source."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        import shtab

        for each in _with_commands(parser):
            for action in each._actions:
                if action.type is Path:
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
        parser.prog = "aina"  # a shell completes by the first word alone
        print(shtab.complete(parser, given[1]))
        parser.exit()


def _with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and, recursively, the parsers of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _with_commands(each)


class Terminal:
    """Progress bars on stderr; Ctrl-C asks the work to end, a second one ends it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._phase = ""
        self._stopping = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True
        print("\nstopping; once more to break off", file=sys.stderr)

    def stop(self) -> bool:
        return self._stopping

    def progress(self, phase: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if phase != self._phase:
            self.end(0, "")
            self._phase = phase
            if not total:
                print(f"{phase} …", file=sys.stderr)
        if total:
            if self._bar is None:
                pause = 0.2 if sys.stderr.isatty() else 10.0
                self._bar = tqdm(
                    total=total, desc=phase, unit="", file=sys.stderr, mininterval=pause
                )
            self._bar.update(done - self._bar.n)

    def end(self, status: int, message: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


#: Who hears of the progress: the app, for a job, or a terminal.
Reporter = jobs.Reporter | Terminal


def command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run, command=name)
    return parser


def stoppable(run: Callable[..., str]) -> Callable[..., str]:
    """Let a command end well, with {"stopped": true}, where its work is stopped on the way.

    Args:
        run: the command; its last two arguments are the options and the reporter.
    """

    @functools.wraps(run)
    def ran(*given: Any) -> str:
        try:
            return run(*given)
        except StoppedError as stopped:
            options, reporter = given[-2:]
            reporter.end(0, "")
            show(options, {"stopped": True}, str(stopped))
            return str(stopped)

    return ran


def gallery_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gallery", default="demo", help="default: demo")


def device_options(parser: argparse.ArgumentParser) -> None:
    """Add where a model runs, for commands that do not take its usual device from `models set`."""
    parser.add_argument("--device", help="cpu or cuda; by default what is there")
    parser.add_argument("--runtime", help="openvino or torch; by default what suits the device")


def model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=models.DEFAULT,
        help=f"a name, with variants as NAME@native@fast@pca100; default: {models.DEFAULT}",
    )
    parser.add_argument("--mode", help="exact or fast; by default as the name or `models set` says")
    parser.add_argument("--device", help="cpu or cuda; by default as settled, or what is there")
    parser.add_argument("--runtime", help="openvino or torch; by default what suits the device")


def box(text: str) -> tuple[int, int, int, int]:
    """Read a crop as people type it: x,y,width,height."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a crop: give x,y,width,height in pixels"
        ) from None
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"the crop {text!r} is empty")
    return x, y, width, height


def show(options: argparse.Namespace, document: Any, text: str) -> None:
    if options.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        print(text)
