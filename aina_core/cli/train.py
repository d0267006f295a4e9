"""`train`: train a model on a gallery; list, show and delete trained models."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aina_core.cli.console import Reporter, command, gallery_option, show, stoppable


def add_train(commands: Any) -> None:
    from aina_core.training import KINDS

    text = (
        "Train a model of your own on a gallery's images. Afterwards --model NAME works everywhere."
    )
    parser = commands.add_parser("train", help=text, description=text)
    actions = parser.add_subparsers(required=True, metavar="KIND")
    for kind, about in KINDS.items():
        _add_kind(actions, kind, about)
    command(actions, "list", _list, "List the models that were trained here.")
    shown = command(actions, "show", _show, "Show a model that was trained here.")
    shown.add_argument("name")
    deleted = command(actions, "delete", _delete, "Delete a trained model, or a stopped training.")
    deleted.add_argument("name")


def _add_kind(actions: Any, kind: str, about: str) -> None:
    from aina_core.training.options import ENCODERS, OPTIONS, USUAL_POSITIVES

    parser = command(actions, kind, functools.partial(_train, kind), about)
    add = parser.add_argument
    gallery_option(parser)
    add("--name", required=True, help="of the model that is trained")
    if kind in ENCODERS:
        adapter = kind == "adapter"
        scratch = "" if adapter else "; default: four residual blocks from scratch"
        add("--model", required=adapter, help=f"a registered model as the trunk{scratch}")
        choices = "labels, modifications or a CSV of pairs of ids"
        usual = USUAL_POSITIVES.get(kind, "modifications")
        add(
            "--positives",
            help=f"what belongs together: {'' if adapter else 'augment, '}{choices}; "
            f"default: {usual}",
        )
    add(
        "--changes",
        nargs="+",
        default=(),
        metavar="NAME",
        help="modifications, profiles, or any of them by name; default: "
        + ("the five profiles" if kind == "denoising" else "the 18 modifications"),
    )
    add(
        "--hold-out",
        nargs="+",
        default=(),
        metavar="NAME",
        help="changes that training does not see; judged on their own too",
    )
    for option in OPTIONS:
        if kind in option.kinds:
            add(option.flag, type=option.type, help=option.help)
    add("--device", help="cpu or cuda; by default what is there")


@stoppable
def _train(kind: str, options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.gallery import open_gallery
    from aina_core.training import settle, train
    from aina_core.training.options import OPTIONS, POSITIVES
    from aina_core.training.pairs_file import read_pairs

    given: dict[str, Any] = {
        option.name: getattr(options, option.name) for option in OPTIONS if kind in option.kinds
    }
    for name in ("model", "positives"):  # autoencoders have neither
        given[name] = getattr(options, name, None)
    positives = given["positives"]
    if positives is not None and positives not in POSITIVES:
        file = Path(positives)
        if file.is_file() or file.suffix.lower() == ".csv":
            ids = open_gallery(options.gallery).catalogue.images()
            given |= {"pairs": read_pairs(file, ids), "positives": None}
    settings = settle(
        kind,
        options.gallery,
        options.name,
        changes=tuple(options.changes),
        hold_out=tuple(options.hold_out),
        **given,
    )
    record = train(
        settings,
        load=lambda model: load_embedder(model, device=options.device),
        device=options.device,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    result = record["result"]
    show(options, result, "\n".join(_lines(result)))
    return f"trained {options.name}"


def _lines(result: Mapping[str, Any]) -> list[str]:
    from aina_core.training.evaluation import table

    lines = [
        f"{result['name']}: {result['epochs']} epochs, the best was {result['best_epoch']}; "
        f"trained on {result['trained_on']:,} originals, held out {result['held_out']:,}, "
        f"in {result['seconds']:.0f} s"
    ]
    if "given_pairs" in result:
        given = result["given_pairs"]
        lines.append(
            f"pairs that joined originals: {given['used']:,}; passed over: {given['passed_over']:,}"
        )
    for part in filter(None, (result, result.get("unseen"))):
        if part is not result:
            lines.append(f"changes not seen in training: {', '.join(part['changes'])}")
        for shown in filter(None, (part, part.get("reranked"))):
            if shown is not part:
                lines.append("  the nearest, ranked by the probability of the pair:")
            rows = table(shown)
            lines += [f"  {name}: {was} → {now}, gain {gain}" for name, was, now, gain in rows]
    if "pairs" in result:
        told = result["pairs"]
        low, high = told["interval"]
        right = f"{told['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"  of {told['n']:,} held-out pairs told right: {right}")
    lines += [f"left out: {failed['id']}: {failed['reason']}" for failed in result["failed"]]
    return [*lines, f"use it as --model {result['name']}"]


def _list(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.training import models, unfinished

    found, damaged = models()
    waiting = unfinished()
    document = {
        "models": [{"created": one.created, **one.result} for one in found],
        "unfinished": [
            {"name": one.name, "kind": one.settings.kind, "epochs": max(one.curves.epoch, 0)}
            for one in waiting
        ],
        "damaged": [{"name": name, "reason": reason} for name, reason in damaged.items()],
    }
    lines = [
        f"{one.name}: {one.settings.kind} on {one.settings.gallery}, {one.created}" for one in found
    ]
    lines += [f"{u.name}: not ended, after epoch {max(u.curves.epoch, 0)}" for u in waiting]
    lines += [f"{name} is damaged: {reason}" for name, reason in damaged.items()]
    show(options, document, "\n".join(lines) or "no model was trained here yet")
    return f"{len(found)} models"


def _show(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.training.stored import load

    found = load(options.name)
    document = {
        **found.result,
        "created": found.created,
        "settings": found.settings.as_dict(),
        "curves": found.curves.as_dict(),
    }
    lines = _lines(found.result)
    if len(found.curves.rates) > 1:  # the settings keep only the last one
        told = ", ".join(f"{rate:g} from epoch {n}" for n, rate in found.curves.rates)
        lines.insert(1, f"learning rate: {told}")
    show(options, document, "\n".join(lines))
    return options.name


def _delete(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.training import delete

    delete(options.name)
    show(options, {"deleted": options.name}, f"deleted {options.name}")
    return f"deleted {options.name}"
