"""The command line: `python -m aina_core COMMAND`, each with --help and --json.

One JSON document on stdout, everything else on stderr. Exit 0: done; 2: something that the user
can fix, said in one line. Only `check` ends with 1: something was flagged.
"""

from __future__ import annotations

import argparse
import errno
import io
import sys
import traceback
from collections.abc import Sequence

from aina_core import __version__, jobs
from aina_core.cli.check import add_check
from aina_core.cli.compare import add_agreement, add_pair
from aina_core.cli.console import Completion, Ended, Parser, Reporter, Terminal
from aina_core.cli.demo import add_demo
from aina_core.cli.duplicates import add_duplicates
from aina_core.cli.exchange import add_export, add_import
from aina_core.cli.explain import add_explain
from aina_core.cli.galleries import add_galleries, add_verify
from aina_core.cli.index import add_index
from aina_core.cli.labels import add_labels
from aina_core.cli.map import add_map
from aina_core.cli.models import add_models
from aina_core.cli.search import add_search
from aina_core.cli.spark import add_spark_duplicates, add_spark_index, add_spark_neighbours
from aina_core.cli.study import add_study
from aina_core.cli.train import add_train
from aina_core.errors import AinaError

__all__ = ["main", "parser"]

#: Faults of the machine that its user can mend: no permission, no space, a file for a folder.
_MENDABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
}
#: In the order in which --help lists them.
_COMMANDS = [
    add_index,
    add_search,
    add_labels,
    add_map,
    add_agreement,
    add_pair,
    add_explain,
    add_study,
    add_duplicates,
    add_check,
    add_import,
    add_export,
    add_galleries,
    add_models,
    add_train,
    add_demo,
    add_verify,
    add_spark_index,
    add_spark_neighbours,
    add_spark_duplicates,
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a file's name need not be valid UTF-8; what replaces its bytes is an escape in JSON too
        sys.stdout.reconfigure(errors="backslashreplace")
    reporter = jobs.Reporter.of_this_process() or Terminal()
    options = None
    try:
        options = parser().parse_args(arguments)
        ended = options.run(options, reporter)
        status, message = (ended.status, ended.message) if isinstance(ended, Ended) else (0, ended)
    except AinaError as error:
        status, message = 2, " ".join(str(error).splitlines())
        reporter.end(status, message)  # a progress bar must not come after the message
        print(f"aina: {message}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _MENDABLE:
            return _failed(options, reporter, error)
        status, message = 2, f"{error.filename or 'Writing'}: {error.strerror}; mend that first."
        print(f"aina: {message}", file=sys.stderr)
    except BaseException as error:
        return _failed(options, reporter, error)
    reporter.end(status, message or "")
    return status


def _failed(options: argparse.Namespace | None, reporter: Reporter, error: BaseException) -> int:
    """End the process with 1 after a bug in AINA; `check`, where 1 has a meaning, ends with 2.

    Raises:
        BaseException: the error, but for `check`.
    """
    reporter.end(1, f"AINA failed: {type(error).__name__}: {error}")
    if getattr(options, "command", "") == "check" and isinstance(error, Exception):
        traceback.print_exception(error)
        return 2
    raise error


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = Parser(
        prog="python -m aina_core", description="AINA: explore what similar means to a network."
    )
    made.add_argument("--version", action="version", version=f"AINA {__version__}")
    made.add_argument(
        "--print-completion",
        action=Completion,
        choices=("bash", "zsh"),
        help="print a completion script for a shell function or alias named aina",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return made
