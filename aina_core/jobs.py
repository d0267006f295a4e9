"""Long work in a process of its own: started, listed, stopped and resumed.

A job is a command line of AINA in a process of its own, with a folder under `AINA_HOME/.jobs`:

    job.json       title and arguments
    progress.json  phase, done, total, started, updated
    stop           asked to stop
    result.json    exit status and last line
    log            what it printed
    lock           made and held by the process

It goes on when the browser, or the app, is closed. A job that died can be run again with the same
arguments; it then resumes where the work itself can.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aina_core.disk import folders, paths
from aina_core.disk.locks import alone, is_busy
from aina_core.errors import DamagedError, InputError

_ENVIRONMENT = "AINA_JOB"
_ID = "[0-9a-f]*-*"
_SECONDS_BETWEEN_REPORTS = 0.3
_KEPT_JOBS = 20
# A process that has not taken its job's lock by then never will.
_STARTING_SECONDS = 60.0
# The folders of the jobs whose processes this one has started and not reaped yet.
_unreaped: set[Path] = set()


@dataclass(frozen=True)
class Job:
    """A job, as of the moment when it was read.

    Attributes:
        id: its folder's name.
        title: what it does, for people.
        arguments: of the command line, without the program.
        state: "running", "stopping", "done", "stopped", "failed", or "died" (killed, power cut).
        phase: what it is doing.
        done: how much of this phase is done.
        total: how much there is in this phase; 0 while unknown.
        seconds_left: an estimate by the rate of this phase; None while there is none.
        rate: done per second in this phase.
        message: what a job that has ended printed last.
    """

    id: str
    title: str
    arguments: tuple[str, ...]
    state: str
    phase: str
    done: int
    total: int
    seconds_left: float | None
    rate: float
    message: str

    @property
    def started(self) -> float:
        """When it was started, in seconds since 1970; 0 where its id does not say."""
        try:
            return int(self.id.partition("-")[0], 16) / 1e9
        except ValueError:
            return 0.0

    @property
    def active(self) -> bool:
        """Whether its process is alive."""
        return self.state in ("running", "stopping")


def _folder() -> Path:
    return paths.home() / ".jobs"


def start(title: str, arguments: Sequence[str]) -> str:
    """Start `python -m aina_core ARGUMENTS` as a job and return its id.

    The process belongs to a session of its own: it outlives the app.
    """
    job_id = f"{time.time_ns():x}-{secrets.token_hex(3)}"
    folder = _folder() / job_id
    folder.mkdir(parents=True)
    paths.write_json(folder / "job.json", {"title": title, "arguments": list(arguments)})
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "aina_core", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, _ENVIRONMENT: str(folder), "AINA_HOME": str(paths.home())},
        )
    _unreaped.add(folder)
    threading.Thread(target=_reap, args=(child, folder), daemon=True).start()
    _sweep()
    return job_id


def _reap(child: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a job's process, so that it does not stay in the system's list as defunct."""
    child.wait()
    with contextlib.suppress(OSError):  # of one that ended before it could take its lock
        (folder / "lock").touch()
    _unreaped.discard(folder)


def jobs() -> list[Job]:
    """Return the jobs, the newest first."""
    found = []
    for folder in sorted(_folder().glob(_ID), reverse=True):
        with contextlib.suppress(DamagedError, KeyError, TypeError, ValueError, OverflowError):
            found.append(_read(folder))
    return found


def stop(job_id: str) -> None:
    """Ask a job to finish what it is at, and end."""
    _known(job_id).joinpath("stop").touch()


def resume(job_id: str) -> str:
    """Run a job that ended before its work was done again, with the same arguments."""
    job = _read(_known(job_id))
    forget(job_id)
    return start(job.title, job.arguments)


def forget(job_id: str) -> None:
    """Remove a job that has ended from the list."""
    folder = _known(job_id)
    if _is_alive(folder):
        raise InputError("The job is still running; stop it first.")
    folders.discard(folder)


def _known(job_id: str) -> Path:
    folder = _folder() / Path(job_id).name
    if not folder.joinpath("job.json").exists():
        raise InputError("There is no such job any more.")
    return folder


def _is_alive(folder: Path) -> bool:
    """Whether a job's process is alive: it holds the lock, or is about to make it."""
    if folder in _unreaped:
        return True
    if (folder / "lock").exists():
        return is_busy(folder)
    with contextlib.suppress(OSError):
        return time.time() - (folder / "job.json").stat().st_mtime < _STARTING_SECONDS
    return False


def _read(folder: Path) -> Job:
    job = paths.read_json(folder / "job.json")
    alive = _is_alive(folder)
    result = _optional(folder / "result.json")
    progress = _optional(folder / "progress.json")
    if alive:
        state = "stopping" if (folder / "stop").exists() else "running"
    else:
        state = {0: "done", None: "died"}.get(result.get("status"), "failed")
        if state == "done" and (folder / "stop").exists():
            state = "stopped"
    done, total = int(progress.get("done", 0)), int(progress.get("total", 0))
    elapsed = float(progress.get("updated", 0)) - float(progress.get("started", 0))
    rate = (done - int(progress.get("first", 0))) / elapsed if elapsed > 0 else 0.0
    return Job(
        id=folder.name,
        title=str(job["title"]),
        arguments=tuple(map(str, job["arguments"])),
        state=state,
        phase=str(progress.get("phase", "starting")),
        done=done,
        total=total,
        seconds_left=(total - done) / rate if rate > 0 and total else None,
        rate=rate,
        message=str(result.get("message", "")),
    )


def _optional(path: Path) -> dict[str, Any]:
    try:
        return paths.read_json(path)
    except DamagedError:
        return {}


def _sweep() -> None:
    for folder in sorted(_folder().glob(_ID), reverse=True)[_KEPT_JOBS:]:
        if not _is_alive(folder):
            folders.discard(folder)


class Reporter:
    """The worker's side of a job: writes its progress, and sees whether it was asked to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._phase = ""
        self._first = 0
        self._started = self._written = 0.0
        self._stopping = False
        self._held = contextlib.ExitStack()
        signal.signal(signal.SIGTERM, self._stop_now)

    @classmethod
    def of_this_process(cls) -> Reporter | None:
        """Return the reporter of the job that this process is, and hold its lock to the end.

        Returns:
            None when this process is no job.
        """
        folder = os.environ.pop(_ENVIRONMENT, None)
        if not folder:
            return None
        reporter = cls(Path(folder))
        # kept open by the reporter; those who list jobs hold it for moments only
        reporter._held.enter_context(alone(reporter.folder, "running this job", patience=10))
        return reporter

    def _stop_now(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):  # so that it is not taken for done
            self.folder.joinpath("stop").touch()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Write how far the work is, unless that was written a moment ago."""
        now = time.time()
        if phase != self._phase:
            self._phase, self._first, self._started = phase, done, now
        elif now - self._written < _SECONDS_BETWEEN_REPORTS and done < total:
            return
        self._written = now
        paths.write_json(
            self.folder / "progress.json",
            {
                "phase": phase,
                "done": done,
                "total": total,
                "first": self._first,
                "started": self._started,
                "updated": now,
            },
        )

    def stop(self) -> bool:
        """Whether a person, or the system, has asked the job to stop."""
        return self._stopping or (self.folder / "stop").exists()

    def end(self, status: int, message: str) -> None:
        """Record how the work ended."""
        with contextlib.suppress(OSError):  # the folder may have been removed meanwhile
            paths.write_json(self.folder / "result.json", {"status": status, "message": message})


def describe(job: Job) -> str:
    """Return a line that says how far a job is."""
    if not job.active:
        return job.message or job.state
    if not job.total:
        return f"{job.phase} …"
    left = "" if job.seconds_left is None else f", {duration(job.seconds_left)} left"
    rate = f", {job.rate:.1f}/s" if job.rate else ""
    return f"{job.phase}: {job.done:,} of {job.total:,}{rate}{left}"


def duration(seconds: float) -> str:
    """Return a duration for people: 45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
