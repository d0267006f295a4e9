"""`train`: train a model on a gallery, and look at those that were trained."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aina_core.cli.console import Reporter, command, show
from aina_core.errors import StoppedError

_TEXTS = {
    "siamese": "One encoder, contrastive loss on the distance of two images.",
    "siamese-dense": "One encoder, and a dense head that says whether two images are alike.",
    "triplet": "One encoder, triplet loss with mined negatives.",
    "autoencoder": "An autoencoder whose bottleneck is the embedding.",
    "vae": "A variational autoencoder.",
    "denoising": "An autoencoder from changed images back to their originals.",
    "adapter": "A small head over a model's stored embeddings: minutes on a CPU.",
}
_ENCODERS = ("siamese", "siamese-dense", "triplet", "adapter")
_METRIC = ("siamese", "triplet", "adapter")
#: Options that become keywords of `settle` by their own names.
_KEYWORDS = (
    *("model", "changes", "hold_out", "loss", "mining", "margin", "temperature", "head"),
    *(
        "head_dim",
        "shrinkage",
        "trunk",
        "combine",
        "side",
        "dim",
        "epochs",
        "patience",
        "groups",
        "members",
    ),
    *("rate", "decay", "originals", "judged", "test_share", "seed"),
)


def add_train(commands: Any) -> None:
    text = (
        "Train a model of your own on a gallery's images. Afterwards --model NAME works everywhere."
    )
    parser = commands.add_parser("train", help=text, description=text)
    actions = parser.add_subparsers(required=True, metavar="KIND")
    for kind, about in _TEXTS.items():
        _add_kind(actions, kind, about)
    command(actions, "list", _list, "List the models that were trained here.")
    shown = command(actions, "show", _show, "Show a model that was trained here.")
    shown.add_argument("name")
    deleted = command(actions, "delete", _delete, "Delete a trained model, or a stopped training.")
    deleted.add_argument("name")


def _add_kind(actions: Any, kind: str, about: str) -> None:
    parser = command(actions, kind, lambda o, r: _train(kind, o, r), about)
    add = parser.add_argument
    add("--gallery", default="demo", help="default: demo")
    add("--name", required=True, help="of the model that comes of it")
    if kind in _ENCODERS:
        _add_encoder(parser, kind)
    else:
        add("--side", type=int, help="of the pictures in pixels, a multiple of 16; default: 64")
        add("--dim", type=int, help="length of the embedding; default: 128")
    add(
        "--changes",
        nargs="+",
        metavar="NAME",
        help="modifications, profiles, or any of them by name; default: "
        + ("the five profiles" if kind == "denoising" else "the 18 modifications"),
    )
    add(
        "--hold-out",
        nargs="+",
        metavar="NAME",
        help="changes that training does not see; judged on their own too",
    )
    add("--epochs", type=int, help="at most; default: 100 over stored embeddings, else 30, or 60")
    add(
        "--patience",
        type=int,
        help="epochs without a better retrieval score; 0: never; default 8, or 20",
    )
    add("--groups", type=int, help="in a batch; of autoencoders, images; default: 32, or 16")
    add(
        "--rate",
        type=float,
        help="learning rate of Adam; default: 0.001, of the head whitening 0.0001",
    )
    add("--decay", type=float, help="weight decay; default: 0.0001")
    add("--originals", type=int, metavar="N", help="how many are drawn; default: all")
    add(
        "--judged",
        type=int,
        metavar="N",
        help="held-out originals whose changed versions are judged; default: 100",
    )
    add("--test-share", type=float, help="share of the originals held out; default: 0.5")
    add("--seed", type=int, help="of every draw; default: 0")
    add("--device", help="cpu or cuda; by default what is there")


def _add_encoder(parser: argparse.ArgumentParser, kind: str) -> None:
    add = parser.add_argument
    scratch = "" if kind == "adapter" else "; default: four residual blocks from scratch"
    add("--model", required=kind == "adapter", help=f"a registered model as the trunk{scratch}")
    usual = {"siamese": "augment"}.get(kind, "modifications")
    choices = "labels, modifications or a CSV of pairs of ids"
    if kind != "adapter":
        choices = f"augment, {choices}"
        add("--trunk", help="frozen (default) or trained, of a registered model")
        add("--side", type=int, help="of the pictures from scratch, in pixels; default: 64")
        add("--dim", type=int, help="length of the embedding from scratch; default: 128")
    add("--positives", help=f"what belongs together: {choices}; default: {usual}")
    add("--members", type=int, help="of each group in a batch; default: 4")
    if kind in _METRIC:
        add("--loss", help="contrastive, triplet, multi-similarity, infonce or supcon")
        add("--mining", help="of the triplet loss: batch-hard (default) or semi-hard")
        add("--margin", type=float, help="default: 1, of the triplet loss .2")
        add("--temperature", type=float, help="of infonce and supcon; default: 0.1")
        add(
            "--head",
            help="over a registered model: linear (usual with labels), whitening (usual with "
            "modifications), residual or none",
        )
        add("--head-dim", type=int, help="length of the embedding of a linear head; default: 256")
        add("--shrinkage", type=float, help="of the head whitening; default: 1")
    else:
        add("--combine", help="what the dense head sees: symmetric (default: |a−b|, a·b) or concat")


def _train(kind: str, options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.gallery import open_gallery
    from aina_core.training import settle, train
    from aina_core.training.pairs_file import read_pairs
    from aina_core.training.settings import POSITIVES

    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in _KEYWORDS
        if getattr(options, name, None) is not None
    }
    for name in ("changes", "hold_out"):
        given[name] = tuple(given.get(name, ()))
    positives = getattr(options, "positives", None)
    if positives is not None and positives not in POSITIVES:
        file = Path(positives)
        if file.is_file() or file.suffix.lower() == ".csv":
            ids = open_gallery(options.gallery).catalogue.images()
            given["pairs"], positives = read_pairs(file, ids), None
    settings = settle(kind, options.gallery, options.name, positives=positives, **given)
    try:
        record = train(
            settings,
            load=lambda model: load_embedder(model, device=options.device),
            device=options.device,
            progress=reporter.progress,
            stop=reporter.stop,
        )
    except StoppedError as stopped:
        reporter.end(0, "")
        show(options, {"stopped": True}, str(stopped))
        return str(stopped)
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
    if len(found.curves.rates) > 1:  # the settings have the last one alone
        told = ", ".join(f"{rate:g} from epoch {n}" for n, rate in found.curves.rates)
        lines.insert(1, f"learning rate: {told}")
    show(options, document, "\n".join(lines))
    return options.name


def _delete(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.training import delete

    delete(options.name)
    show(options, {"deleted": options.name}, f"deleted {options.name}")
    return f"deleted {options.name}"
