"""Run one step of a Spark job: reported, stoppable, with one sentence for what went wrong."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aina_core import errors
from aina_core.errors import AinaError, InputError, StoppedError
from aina_core.progress import Progress, Stop
from aina_core.spark.session import LOG

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Result = TypeVar("Result")
#: What a job says that was asked to stop.
STOPPED = "Stopped before it was finished; nothing was written."
_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_TO_WAIT = 20.0
_NEXT = "\n\f\n"  # between causes
_SENTENCE = re.compile(r"^aina_core\.errors\.(\w+): (.+)$", re.MULTILINE)
_DIED = ("Python worker exited unexpectedly", "ExecutorLostFailure", "EOFException")
_FAILED_TIMES = re.compile(r"failed (\d+) times")


def run(
    spark: SparkSession,
    phase: str,
    action: Callable[[], Result],
    *,
    total: int = 0,
    progress: Progress,
    stop: Stop,
) -> Result:
    """Run an action of Spark in a thread of its own, and report its tasks.

    Args:
        spark: the session.
        phase: what it does, for people.
        action: starts Spark's jobs and waits for them.
        total: how many items it has; finished tasks report their share. 0 for a short step.
        progress: told of what is done.
        stop: when it says yes, the jobs are cancelled.

    Raises:
        StoppedError: it was asked to stop.
        AinaError: what a worker said, or a sentence for what happened to Spark.
    """
    group, done = f"aina-{uuid.uuid4().hex}", threading.Event()
    outcome: dict[str, Any] = {}
    context = spark.sparkContext

    def work() -> None:
        try:
            context.setJobGroup(group, phase, True)
            outcome["result"] = action()
        except BaseException as error:
            outcome["error"] = error
        finally:
            done.set()

    watch = _Watch(spark, group, phase, total, progress)
    thread = threading.Thread(target=work, name=phase, daemon=True)
    thread.start()
    try:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            if stop():
                break
            watch.look()
    finally:  # broken off, too
        if not done.is_set():
            context.cancelJobGroup(group)
    while not done.wait(_SECONDS_BETWEEN_LOOKS):  # a job may have begun after the first time
        context.cancelJobGroup(group)
    thread.join()
    if stop():
        raise StoppedError(STOPPED)
    if "error" in outcome:
        raise mendable(outcome["error"], context.master) from None
    if total:
        progress(phase, total, total)
    result: Result = outcome["result"]
    return result


class _Watch:
    """Watches the progress of a group of Spark jobs."""

    def __init__(
        self, spark: SparkSession, group: str, phase: str, total: int, progress: Progress
    ) -> None:
        self._tracker = spark.sparkContext.statusTracker()
        self._group, self._phase, self._total, self._progress = group, phase, total, progress
        self._idle_since = time.monotonic()
        progress(phase, 0, total)

    def look(self) -> None:
        """Report the finished tasks of the largest running step."""
        stages = []
        for job in self._tracker.getJobIdsForGroup(self._group):
            info = self._tracker.getJobInfo(job)
            if info is not None and info.status == "RUNNING":
                stages += [self._tracker.getStageInfo(stage) for stage in info.stageIds]
        active = [s for s in stages if s is not None and (s.numActiveTasks or s.numCompletedTasks)]
        if any(stage.numActiveTasks for stage in active) or not stages:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _SECONDS_TO_WAIT:
            self._progress("waiting for workers of the cluster", 0, 0)
            self._idle_since = time.monotonic()
        if active:
            stage = max(active, key=lambda stage: stage.numTasks)
            share = stage.numCompletedTasks / max(stage.numTasks, 1)
            self._progress(self._phase, int(self._total * share), self._total)


def mendable(error: BaseException, master: str | None) -> BaseException:
    """Return the error to show for one that Spark raised.

    Args:
        error: what was raised.
        master: of the session.

    Returns:
        What a worker said; or a sentence on tasks that died; or what Spark says first. An error
        that is not Spark's, as it is.
    """
    from pyspark.errors import PySparkException

    java = getattr(error, "java_exception", None)
    if java is None and not isinstance(error, PySparkException):
        return error
    text = str(error) if java is None else str(java.toString())
    text += _causes(java if java is not None else getattr(error, "_origin", None))
    told = _SENTENCE.search(text)
    if told:
        kind = getattr(errors, told[1], InputError)
        known = (
            isinstance(kind, type)
            and issubclass(kind, AinaError)
            and kind.__init__ is (Exception.__init__)
        )
        return (kind if known else InputError)(told[2])
    if any(sign in text for sign in _DIED):
        return InputError(_death(text, master or ""))
    return InputError(
        f"Spark could not finish: {_root(text) or type(error).__name__} "
        f"(with {LOG}=FILE in the environment all that it says is kept)"
    )


def _root(text: str) -> str:
    """The first line of the deepest cause, which `_causes` puts last."""
    blocks = [block.strip() for block in text.split(_NEXT) if block.strip()]
    return blocks[-1].splitlines()[0][:300] if blocks else ""


def _causes(java: Any) -> str:
    """The messages of a Java exception's causes."""
    found, depth = "", 0
    while java is not None and depth < 10:
        found += f"{_NEXT}{java.getMessage() or ''}"
        java, depth = java.getCause(), depth + 1
    return found


def _death(text: str, master: str) -> str:
    times = _FAILED_TIMES.search(text)
    tried = int(times[1]) if times else 1
    end = "A process of a worker died (killed, or out of memory)"
    if tried > 1:
        return (
            f"{end} {tried} times at the same task; give its machine more memory, or run fewer "
            "tasks beside each other."
        )
    if re.fullmatch(r"local(\[[^,\]]*\])?", master):
        cores = (re.search(r"\[(.+)\]", master) or ["", "1"])[1]
        return (
            f"{end}, and with the master {master} a failed task is not tried again; give "
            f"--master local[{cores},4], which tries it up to four times."
        )
    return f"{end}, and its task was not tried again; run the command once more."
