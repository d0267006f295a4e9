"""Spark, started for one job: Java is found or named as missing, workers match this process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aina_core.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: The oldest Java that Spark 4 runs on.
LEAST_JAVA = 17
#: All cores of this machine; a task that fails is tried up to four times.
DEFAULT_MASTER = "local[*,4]"
#: Where everything that Spark and its workers say is kept; without it, it is thrown away.
LOG = "AINA_SPARK_LOG"
#: Where workers find weights, trained models and converted networks, as this process does.
_PASSED = ("AINA_HOME", "AINA_WEIGHTS", "AINA_CACHE", "AINA_MODEL_MEMORY")
_MASTERS = re.compile(r"local(\[([0-9]+|\*)(\s*,\s*[0-9]+)?\])?|yarn|(spark|k8s)://\S+")
_SECONDS_TO_ANSWER = 5.0
# Between Java and Python pictures travel in batches, of at most this many bytes but for a single
# picture that is larger.
_BATCH_BYTES = 32 << 20


@contextlib.contextmanager
def session(
    master: str | None, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[SparkSession]:
    """Start Spark for the length of a block.

    Spark's own output goes to the file named by `AINA_SPARK_LOG`, or nowhere.

    Args:
        master: as "local[2]", "local[2,4]" (a failed task is tried up to 4 times) or
            "spark://host:7077"; None for what spark-submit says, or without it `DEFAULT_MASTER`.
        name: of the job, as Spark's pages show it.
        settings: further settings of Spark.

    Raises:
        InputError: PySpark or Java is missing or too old, or Spark cannot start there.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise InputError(
            "PySpark is not installed; run: .venv/bin/python -m pip install -r "
            "requirements-spark.txt"
        ) from None
    check_java()
    if master is None and "PYSPARK_GATEWAY_PORT" not in os.environ:
        master = DEFAULT_MASTER
    if master is not None:
        check_master(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    if master is not None:
        builder = builder.master(master)
    local = master is not None and master.startswith("local")
    for key, value in _settings(local, settings or {}).items():
        builder = builder.config(key, value)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="aina-spark-") as folder:
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        log = Path(os.environ.get("AINA_SPARK_LOG") or os.devnull)
        try:
            with _errors_to(log), _own_interrupt():
                spark = builder.getOrCreate()
        except (PySparkException, OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"Spark cannot start with the master {master}: {_reason(error)}"
            ) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "py4j":
                raise
            raise InputError(
                f"Spark cannot start with the master {master}: {_reason(error)}"
            ) from None
        try:
            if not local:
                spark.sparkContext.addPyFile(str(_packed(Path(folder))))
            yield spark
        finally:
            with _errors_to(log):
                spark.stop()


def _settings(local: bool, further: Mapping[str, str]) -> dict[str, str]:
    chosen = {
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # pictures are large: few of them in a batch between Java and Python
        "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(_BATCH_BYTES),
        # as many tasks as cores run beside each other, and each has a process of its own
        "spark.executorEnv.AINA_CORES": further.get("spark.task.cpus", "1"),
        **{f"spark.executorEnv.{key}": os.environ[key] for key in _PASSED if key in os.environ},
    }
    if local:
        chosen |= {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "8",
            "spark.executorEnv.PYTHONPATH": str(Path(__file__).parents[2]),
        }
    return {**chosen, **further}


@contextlib.contextmanager
def _errors_to(log: Path) -> Iterator[None]:
    """Redirect the errors of processes started in this block to a file.

    Java and the workers would otherwise write over the progress, and end with pages of their own
    calls what one sentence says.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no place for errors anyway
        yield
        return
    try:
        with log.open("ab") as file:
            sys.stderr.flush()
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep this process's handler of Ctrl-C: Spark installs one that stops in mid-step."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # only there it can be set
            signal.signal(signal.SIGINT, before)


def _reason(error: BaseException) -> str:
    """The line of an error that says what is wrong."""
    java = getattr(error, "java_exception", None)
    text = str(error if java is None else java.getMessage() or java)
    if "JAVA_GATEWAY_EXITED" in text:
        text = f"Java ended at once; set {LOG}=FILE to keep what it says"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def check_master(master: str) -> None:
    """Refuse an invalid master, or a cluster that does not answer.

    Raises:
        InputError: it cannot be used.
    """
    if not _MASTERS.fullmatch(master) or master.startswith(("local[0", "local[00")):
        raise InputError(
            f"There is no Spark master {master!r}; give local[2,4] (two cores, a failed task is "
            "tried up to four times), spark://HOST:7077, yarn or k8s://…"
        )
    if not master.startswith("spark://"):
        return
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
            return
        except (OSError, ValueError, OverflowError):
            continue
    raise InputError(f"No Spark master answers at {master}; start one there, or mend the address.")


def check_java() -> None:
    """Require a Java that Spark can use.

    Raises:
        InputError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else shutil.which("java")
    advice = (
        f"install Java {LEAST_JAVA} or later (on Debian or Ubuntu: apt-get install "
        f"openjdk-{LEAST_JAVA}-jre-headless), or point JAVA_HOME to one"
    )
    try:
        if command is None:
            raise OSError
        told = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        raise InputError(f"Spark needs Java, and none was found; {advice}.") from None
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if found is None or int(found[1]) < LEAST_JAVA:
        version = found[1] if found else "of an unknown version"
        raise InputError(f"Spark needs Java {LEAST_JAVA}, and {command} is {version}; {advice}.")


def _packed(folder: Path) -> Path:
    """Pack this package, so that the machines of a cluster need only what it imports."""
    package = Path(__file__).parents[1]
    path = folder / "aina_core.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                packed.write(file, file.relative_to(package.parent))
    return path
