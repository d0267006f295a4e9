"""`models`: which there are and whether they can be used here; fetching and adding them."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from aina_core import models
from aina_core.cli import model_settings
from aina_core.cli.console import Reporter, command, show
from aina_core.errors import InputError

_ACTIONS = ("fetch", "add", "forget", "set")


def add_models(commands: Any) -> None:
    text = (
        "List the models and whether they can be used here; fetch the weights of one; add one to "
        "those that are offered (timm:NAME, open_clip:ARCHITECTURE/TAG, local:NAME), or forget it; "
        "set on which device one runs, and how precisely."
    )
    parser = command(commands, "models", _models, text)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, help="by default, list them")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the models to fetch or add")
    model_settings.add_options(parser)


def _models(options: argparse.Namespace, reporter: Reporter) -> str:
    if options.action is None:
        return _list(options)
    if not options.names:
        raise InputError(f"models {options.action} needs the NAME of a model.")
    if options.action not in ("forget", "set"):
        for name in options.names:  # a wrong one is found before anything is done with another
            models.get(name)
    done = [_do(options, name, reporter) for name in options.names]
    reporter.end(0, "")
    text = "\n".join(sentence for _, sentence in done)
    show(options, [entry for entry, _ in done], text)
    return text


def _do(options: argparse.Namespace, name: str, reporter: Reporter) -> tuple[dict[str, str], str]:
    """Do something with a model; return what there is to say of it, for programs and people."""
    action = options.action
    if action == "set":
        return model_settings.settle(name, options)
    if action == "fetch":
        path = models.fetch(name, progress=reporter.progress, stop=reporter.stop)
        return {"name": name, "weights": str(path)}, f"{name}: {path}"
    if action == "add":
        found = models.state(models.add(name))
        entry = {"name": name, "status": found.status, "reason": found.reason}
        return entry, f"{name} is offered; {': '.join(filter(None, list(entry.values())[1:]))}"
    models.forget(name)
    return {"name": name}, f"{name} is offered no longer"


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
    """What there is to know of a model; of one that cannot be resolved, only the reason."""
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
