"""Studies: which model sees similarity? Rows with intervals, for any gallery and any models."""

from aina_core.studies.run import run
from aina_core.studies.settings import KINDS, SETS, Settings, settle
from aina_core.studies.store import Run, Summary, delete, load, studies

__all__ = [
    "KINDS",
    "SETS",
    "Run",
    "Settings",
    "Summary",
    "delete",
    "load",
    "run",
    "settle",
    "studies",
]
