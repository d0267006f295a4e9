"""Long work: how it tells of itself and is stopped, and how the app runs it elsewhere.

A job is a command line of AINA in a process of its own, with a folder under `AINA_HOME/.jobs`:

    job.json       title and arguments
    progress.json  phase, done, total, started, updated
    stop           asked to stop
    result.json    exit status and last line
    log            what it printed
    lock           locked as long as the process lives

It goes on when the browser, or the app, is closed. A job that died is run again by the same
arguments, and resumes where the work itself can.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.disk.locks import is_busy
from aina_core.errors import DamagedError, InputError

_ENVIRONMENT = "AINA_JOB"
_SECONDS_BETWEEN_REPORTS = 0.3
_KEPT_JOBS = 20


@dataclass(frozen=True)
class Job:
    """A job as it stood when it was read.

    Attributes:
        id: its folder's name.
        title: what it does, for people.
        arguments: of the command line, without the program.
        state: "running", "stopping", "done", "stopped", "failed", or "died" (killed, power cut).
        phase: what it does at the moment.
        done: of this phase.
        total: of this phase; 0 while unknown.
        seconds_left: an estimate from this phase's own rate; None while there is none.
        rate: done per second in this phase.
        message: the last word of a job that has ended.
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
        """When, in seconds since 1970; 0 where its id does not say so."""
        try:
            return int(self.id.partition("-")[0], 16) / 1e9
        except ValueError:
            return 0.0

    @property
    def active(self) -> bool:
        """Whether its process lives."""
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
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The lock belongs to the open file, which the child inherits: it ends with the child.
        with (folder / "log").open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "aina_core", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(descriptor,),
                cwd=Path(__file__).parent.parent,
                env={**os.environ, _ENVIRONMENT: str(folder), "AINA_HOME": str(paths.home())},
            )
    finally:
        os.close(descriptor)
    _sweep()
    return job_id


def jobs() -> list[Job]:
    """Return the jobs that are known, the newest first."""
    found = []
    for folder in sorted(_folder().glob("*-*"), reverse=True):
        with contextlib.suppress(DamagedError, KeyError, TypeError, ValueError, OverflowError):
            found.append(_read(folder))
    return found


def stop(job_id: str) -> None:
    """Ask a job to finish what is under way and end."""
    _known(job_id).joinpath("stop").touch()


def resume(job_id: str) -> str:
    """Run a job that ended before its work was done once more, by the same arguments."""
    job = _read(_known(job_id))
    forget(job_id)
    return start(job.title, job.arguments)


def forget(job_id: str) -> None:
    """Remove a job that has ended from the list."""
    folder = _known(job_id)
    if is_busy(folder):
        raise InputError("The job is still running; stop it first.")
    shutil.rmtree(folder, ignore_errors=True)


def _known(job_id: str) -> Path:
    folder = _folder() / Path(job_id).name
    if not folder.joinpath("job.json").exists():
        raise InputError("There is no such job any more.")
    return folder


def _read(folder: Path) -> Job:
    job = paths.read_json(folder / "job.json")
    alive = is_busy(folder)
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
    for folder in sorted(_folder().glob("*-*"), reverse=True)[_KEPT_JOBS:]:
        if not is_busy(folder):
            shutil.rmtree(folder, ignore_errors=True)


class Reporter:
    """The side of the worker: writes progress into the job's folder, and looks for its stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._phase = ""
        self._first = 0
        self._started = self._written = 0.0
        self._stopping = False
        signal.signal(signal.SIGTERM, self._stop_now)

    @classmethod
    def of_this_process(cls) -> Reporter | None:
        """Return the reporter of the job that this process is; None when it is none."""
        folder = os.environ.pop(_ENVIRONMENT, None)
        return cls(Path(folder)) if folder else None

    def _stop_now(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):  # so that it is not taken for done
            self.folder.joinpath("stop").touch()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Take a report; write it unless one was written just now."""
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
        """Whether the person, or the system, asked to stop."""
        return self._stopping or (self.folder / "stop").exists()

    def end(self, status: int, message: str) -> None:
        """Record how the work ended."""
        with contextlib.suppress(OSError):  # the folder may have been removed meanwhile
            paths.write_json(self.folder / "result.json", {"status": status, "message": message})


def describe(job: Job) -> str:
    """Return one line on where a job stands."""
    if not job.active:
        return job.message or job.state
    if not job.total:
        return f"{job.phase} …"
    left = "" if job.seconds_left is None else f", {duration(job.seconds_left)} left"
    rate = f", {job.rate:.1f}/s" if job.rate else ""
    return f"{job.phase}: {job.done:,} of {job.total:,}{rate}{left}"


def duration(seconds: float) -> str:
    """Return a duration as people say it: 45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
