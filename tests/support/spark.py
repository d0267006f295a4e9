"""One Spark for all tests of a run: starting it takes longer than most of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from aina_core.errors import InputError
from aina_core.spark.session import session

#: Two tasks at a time, and a failed one is tried again.
MASTER = "local[2,4]"
#: Java compiles for a short life.
SETTINGS = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
}


@pytest.fixture(scope="session", name="spark")
def spark_session() -> Iterator[Any]:
    """A Spark session. Without Java or PySpark its tests are skipped, or fail where
    AINA_SPARK_REQUIRED=1 says that they must run."""
    try:
        with session(MASTER, "tests", SETTINGS) as spark:
            yield spark
    except InputError as error:
        if os.environ.get("AINA_SPARK_REQUIRED") == "1":
            raise
        pytest.skip(str(error))
