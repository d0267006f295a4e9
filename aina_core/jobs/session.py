"""Spark, started for one job: Java found or named as missing, workers like this process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
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
#: Where workers find weights, trained models and converted networks, as this process does.
_PASSED = ("AINA_HOME", "AINA_WEIGHTS", "AINA_CACHE", "AINA_MODEL_MEMORY")


@contextlib.contextmanager
def session(
    master: str | None, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[SparkSession]:
    """Start Spark for the length of a block.

    Args:
        master: as "local[2]", "local[2,4]" (a failed task is tried up to 4 times) or
            "spark://host:7077"; None for what spark-submit or Spark's own configuration says.
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
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    local = master is not None and master.startswith("local")
    chosen: dict[str, str] = {
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # pictures are large: few of them in a batch between Java and Python
        "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
        **{f"spark.executorEnv.{key}": os.environ[key] for key in _PASSED if key in os.environ},
    }
    if local:
        chosen |= {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "8",
        }
    builder = SparkSession.builder.appName(name)
    if master is not None:
        builder = builder.master(master)
    for key, value in {**chosen, **(settings or {})}.items():
        builder = builder.config(key, value)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="aina-spark-") as folder:
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        try:
            spark = builder.getOrCreate()
        except (PySparkException, OSError, RuntimeError, ValueError) as error:
            raise InputError(f"Spark cannot start with the master {master}: {error}") from None
        try:
            spark.sparkContext.setLogLevel("ERROR")
            if not local:
                spark.sparkContext.addPyFile(str(_packed(Path(folder))))
            yield spark
        finally:
            spark.stop()


def check_java() -> None:
    """Refuse to go on without a Java that Spark can use.

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
