"""Studies: which model sees similarity? Figures with intervals, for any gallery and any models."""

from aina_core.studies.kind import Run, Settings, Summary
from aina_core.studies.kinds import KINDS
from aina_core.studies.run import run
from aina_core.studies.settings import SET_TITLES, SETS, settle
from aina_core.studies.store import delete, load, studies

__all__ = [
    "KINDS",
    "SETS",
    "SET_TITLES",
    "Run",
    "Settings",
    "Summary",
    "delete",
    "load",
    "run",
    "settle",
    "studies",
]
