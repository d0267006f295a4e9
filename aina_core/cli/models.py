"""`models`: list, fetch and add models; set a model's device and precision."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from aina_core import models
from aina_core.cli.console import Reporter, command, show
from aina_core.errors import InputError
from aina_core.models import settings

_ACTIONS = ("fetch", "add", "forget", "set")
_AUTO = "auto"  # clears a setting


def add_models(commands: Any) -> None:
    text = (
        "List the models and whether they can be used here; fetch the weights of one; add one to "
        "those that are offered (timm:NAME, open_clip:ARCHITECTURE/TAG, local:NAME), or forget it; "
        "set on which device one runs, and how precisely."
    )
    parser = command(commands, "models", _models, text)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, help="by default, list them")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the models to fetch or add")
    for key, meaning in (("device", ""), ("precision", "; what a name without @fast means")):
        values = (*settings.CHOICES[key], _AUTO)
        parser.add_argument(
            f"--{key}", choices=values, help=f"with set: {', '.join(values)}{meaning}"
        )


def _models(options: argparse.Namespace, reporter: Reporter) -> str:
    if options.action is None:
        return _list(options)
    if not options.names:
        raise InputError(f"models {options.action} needs the NAME of a model.")
    if options.action not in ("forget", "set"):
        for name in options.names:  # a wrong name is found before any other is acted on
            models.get(name)
    done = [_do(options, name, reporter) for name in options.names]
    reporter.end(0, "")
    text = "\n".join(sentence for _, sentence in done)
    show(options, [entry for entry, _ in done], text)
    return text


def _do(options: argparse.Namespace, name: str, reporter: Reporter) -> tuple[dict[str, str], str]:
    """Act on a model; return the result for programs and for people."""
    action = options.action
    if action == "set":
        return _settle(name, options)
    if action == "fetch":
        path = models.fetch(name, progress=reporter.progress, stop=reporter.stop)
        return {"name": name, "weights": str(path)}, f"{name}: {path}"
    if action == "add":
        found = models.state(models.add(name))
        entry = {"name": name, "status": found.status, "reason": found.reason}
        return entry, f"{name} is offered; {': '.join(filter(None, list(entry.values())[1:]))}"
    models.forget(name)
    return {"name": name}, f"{name} is offered no longer"


def _settle(name: str, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Apply the options to a model's settings; return them for programs and for people.

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

        choose(chosen["device"], None)  # raises if it is missing
    settled = settings.settle(name, **chosen)
    said = ", ".join(f"{key} {settled.get(key, _AUTO)}" for key in settings.CHOICES)
    return {"name": name, **settled}, f"{name}: {said}"


def _list(options: argparse.Namespace) -> str:
    document = [_describe(name) for name in models.names()]
    lines = [
        f"{m['name']}: {m['status']}"
        + (f", {m['dim']}-d, input {m['input_size']} px, {m['license']}" if m["dim"] else "")
        + (f"; {m['reason']}" if m["reason"] else "")
        for m in document
    ]
    show(options, document, "\n".join(lines))
    return f"{len(document)} models"


def _describe(name: str) -> dict[str, Any]:
    """The facts of a model; for one that cannot be resolved, only the reason."""
    found = models.state(name)
    entry: dict[str, Any] = {
        "name": name,
        "status": found.status,
        "reason": found.reason,
        "weights": None if found.path is None else str(found.path),
        **dict.fromkeys(("family", "license", "paper", "classes", "file", "source"), ""),
        **dict.fromkeys(("dim", "input_size", "bytes"), 0),
        **dict.fromkeys(("text", "explainable", "convolutional"), False),
    }
    with contextlib.suppress(InputError):
        spec = models.get(name)
        entry |= {
            "family": spec.family,
            "dim": spec.dim,
            "input_size": spec.recipe.crop,
            "license": spec.license,
            "paper": spec.paper,
            "text": spec.text,
            "classes": spec.classes,
            "explainable": bool(spec.layer),
            "convolutional": spec.convolutional,
            "file": spec.weights.file,
            "bytes": found.path.stat().st_size if found.path else spec.weights.size,
            "source": spec.weights.origin,
        }
    return entry
