"""`models set`: on which device a model runs, and how precisely by default."""

from __future__ import annotations

import argparse
from typing import Any

from aina_core.models import settings

#: Leaves open again what was settled.
_AUTO = "auto"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `models set` takes to the parser of `models`."""
    for key, meaning in (("device", ""), ("precision", "; what a name without @fast means")):
        values = (*settings.CHOICES[key], _AUTO)
        parser.add_argument(
            f"--{key}", choices=values, help=f"with set: {', '.join(values)}{meaning}"
        )


def settle(name: str, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Settle what the options give for a model; say what holds, for programs and people.

    Raises:
        InputError: the name has a variant, or the device is not there.
        UnknownNameError: no model of that name is registered.
    """
    given = {key: getattr(options, key) for key in settings.CHOICES}
    chosen = {
        key: None if value == _AUTO else value for key, value in given.items() if value is not None
    }
    if chosen.get("device") is not None:
        from aina_core.embedding.runtimes import choose

        choose(chosen["device"], None)  # which says so where it is not there
    settled = settings.settle(name, **chosen)
    said = ", ".join(f"{key} {settled.get(key, _AUTO)}" for key in settings.CHOICES)
    return {"name": name, **settled}, f"{name}: {said}"
