"""The command line: `python -m aina_core COMMAND`, each with --help and --json.

One JSON document on stdout, everything else on stderr. Exit 0: done; 2: something that the user
can mend, said in one line.
"""

from __future__ import annotations

import argparse
import errno
import io
import sys
from collections.abc import Sequence

from aina_core import __version__, work
from aina_core.cli.comparing import add_agreement, add_pair
from aina_core.cli.console import Parser, Terminal
from aina_core.cli.demos import add_demo
from aina_core.cli.galleries import add_galleries, add_models, add_verify
from aina_core.cli.indexing import add_index
from aina_core.cli.mapping import add_map
from aina_core.cli.searching import add_search
from aina_core.errors import AinaError

__all__ = ["main", "parser"]

#: Faults of the machine that its user can mend: no permission, no space, a file for a folder.
_MENDABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a file's name need not be valid UTF-8; what replaces its bytes is an escape in JSON too
        sys.stdout.reconfigure(errors="backslashreplace")
    reporter = work.Reporter.of_this_process() or Terminal()
    try:
        options = parser().parse_args(arguments)
        message = options.run(options, reporter)
        status = 0
    except AinaError as error:
        status, message = 2, " ".join(str(error).splitlines())
        print(f"aina: {message}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _MENDABLE:
            reporter.end(1, f"AINA failed: {error}")
            raise
        status, message = 2, f"{error.filename or 'Writing'}: {error.strerror}; mend that first."
        print(f"aina: {message}", file=sys.stderr)
    except BaseException as error:
        reporter.end(1, f"AINA failed: {type(error).__name__}: {error}")
        raise
    reporter.end(status, message or "")
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = Parser(
        prog="python -m aina_core", description="AINA: explore what similar means to a network."
    )
    made.add_argument("--version", action="version", version=f"AINA {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        *(add_index, add_search, add_map, add_agreement, add_pair),
        *(add_galleries, add_models, add_demo, add_verify),
    ):
        add(commands)
    return made
