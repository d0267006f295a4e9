"""`explain`: what in an image speaks for a class, for its similarity to another, or for words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core import images, models
from aina_core.cli.console import Reporter, box, command, show
from aina_core.disk import paths
from aina_core.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np

    from aina_core.explain import Explainer, Explanation, Faithfulness, Target

_MAP, _OVERLAY = "map.npy", "overlay.png"
_AREAS = ("deletion", "insertion", "deletion_random", "insertion_random")


def add_explain(commands: Any) -> None:
    from aina_core.explain import COLOURS, METHODS

    text = "Show what in an image speaks for a class, its similarity to another image, or words."
    parser = command(commands, "explain", _explain, text)
    parser.add_argument("--model", default=models.DEFAULT, help=f"default: {models.DEFAULT}")
    parser.add_argument("--image", type=Path, required=True, help="an image file")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--reference", type=Path, help="an image file: explain the similarity")
    target.add_argument(
        "--class", dest="wanted", metavar="NAME", help="a class; default: the likeliest"
    )
    target.add_argument("--text", help="words, under a model with a text tower")
    parser.add_argument(
        "--opposite", action="store_true", help="what lowers the score, instead of what raises it"
    )
    parser.add_argument(
        "--crop", type=box, metavar="X,Y,W,H", help="explain this part alone, in upright pixels"
    )
    parser.add_argument("--method", default=METHODS[0], help=f"{', '.join(METHODS)}; the first")
    parser.add_argument("--out", type=Path, required=True, help=f"folder of {_MAP}, {_OVERLAY}")
    parser.add_argument("--opacity", type=float, default=0.5, help="of the colours; default: 0.5")
    parser.add_argument("--colours", default=COLOURS[0], help=f"{', '.join(COLOURS)}; the first")
    parser.add_argument("--seed", type=int, default=0, help="of the random orders; default: 0")
    parser.add_argument("--device", help="cpu or cuda; by default what is there")


def _explain(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.explain import load_explainer, overlay

    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out} is a file; give a folder for {_MAP} and {_OVERLAY}.")
    if options.seed < 0:
        raise InputError(f"--seed must be at least 0, not {options.seed}.")
    pixels = _pixels(options.image)
    reference = None if options.reference is None else _pixels(options.reference)
    explainer = load_explainer(options.model, device=options.device)
    try:
        target = _target(options, explainer, pixels, reference)
        found = explainer.explain(pixels, target, method=options.method, crop=options.crop)
    except ImageError as error:  # the crop lies outside
        raise InputError(str(error)) from None
    check = None
    if not found.flat:
        check = explainer.faithfulness(pixels, target, found, seed=options.seed)
    whole = found.placed(*pixels.shape[:2])
    drawn = overlay(pixels, whole, opacity=options.opacity, colours=options.colours)
    files = _write(options.out, whole.map, drawn)
    document = {
        "model": explainer.model,
        "method": found.method,
        "target": found.target,
        "score": found.score,
        "raw_max": found.raw_max,
        "flat": found.flat,
        "note": " ".join(filter(None, (found.note, explainer.remark))),
        "faithfulness": {name: check and getattr(check, name) for name in _AREAS},
        "files": [str(file) for file in files],
    }
    text = _text(explainer, found, check, files)
    show(options, document, text)
    return text.splitlines()[0]


def _pixels(path: Path) -> np.ndarray:
    try:
        return images.decode(images.read_bytes(path)).pixels
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise InputError(f"The image {path.name} cannot be used: {reason}.") from None


def _target(
    options: argparse.Namespace,
    explainer: Explainer,
    pixels: np.ndarray,
    reference: np.ndarray | None,
) -> Target:
    from aina_core.explain import class_target, similarity_target, text_target

    if reference is not None:
        return similarity_target(reference, options.opposite)
    if options.text is not None:
        return text_target(options.text, options.opposite)
    if options.wanted is not None:
        return class_target(options.wanted, options.opposite)
    if reason := explainer.can("class"):
        raise InputError(f"{reason} Give --reference or --text.")
    ((likeliest, _),) = explainer.classes(images.crop_pixels(pixels, options.crop), 1)
    return class_target(likeliest, options.opposite)


def _write(folder: Path, laid: np.ndarray, drawn: np.ndarray) -> list[Path]:
    """Write both files, or neither."""
    import numpy as np
    from PIL import Image

    files = [folder / _MAP, folder / _OVERLAY]
    try:
        with paths.replacing(files[0]) as array, paths.replacing(files[1]) as picture:
            np.save(array, laid, allow_pickle=False)
            Image.fromarray(drawn).save(picture, "PNG")
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}.") from None
    return files


def _text(
    explainer: Explainer, found: Explanation, check: Faithfulness | None, files: list[Path]
) -> str:
    lines = [f"{found.target} under {explainer.model}: score {found.score:.4f}"]
    if check is None:
        lines.append(found.note)
    else:
        lines += [
            f"{found.method}: strongest place {found.raw_max:.4g}, drawn as 1",
            f"blurring what it marks: area {check.deletion:.3f} (at random "
            f"{check.deletion_random:.3f}); showing it first: {check.insertion:.3f} (at random "
            f"{check.insertion_random:.3f})",
        ]
    lines += [explainer.remark] if explainer.remark else []
    return "\n".join([*lines, *map(str, files)])
