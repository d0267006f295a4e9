"""How similar copies of a gallery's own images are to a model: what a threshold would find."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.changes.modifications import PROFILES
from aina_core.embedding import Embedder
from aina_core.errors import ImageError
from aina_core.index.principal import sample
from aina_core.progress import Progress, Stop
from aina_core.search.searcher import Searcher

#: How many images are copied.
ORIGINALS = 30


def copy_similarities(
    searcher: Searcher, embedder: Embedder, *, seed: int = 0, progress: Progress, stop: Stop
) -> np.ndarray:
    """Measure how similar the five perturbation profiles of some images are to the images.

    The copies are made in memory and not stored.

    Args:
        searcher: the gallery under the embedder's model.
        embedder: the model.
        seed: of the choice of images.
        progress: told of the phase "copies".
        stop: asked before each image.

    Returns:
        float32 (n, 5), n ≤ 30: cosine(image, its copy) in the order of `PROFILES`. Images whose
        file is gone are left out.
    """
    shown = np.flatnonzero(searcher.shown)
    rows = shown[sample(len(shown), ORIGINALS, seed)]
    found: dict[int, list[float]] = {}

    def copies() -> Iterator[tuple[int, np.ndarray]]:
        for done, row in enumerate(rows.tolist()):
            progress("copies", done, len(rows))
            try:
                data = searcher.gallery.read(searcher.ids[row])
                picture = Image.fromarray(images.decode(data).pixels)
            except ImageError:
                continue
            for change in PROFILES.values():
                yield row, np.asarray(change(picture))

    embedded = embedder.run(copies(), lambda copy: (copy[1], None), stop=stop)
    for (row, _), _, vector in embedded:
        near = np.vecdot(searcher.matrix[row], searcher.reduced(vector))
        found.setdefault(row, []).append(float(near))
    progress("copies", len(rows), len(rows))
    whole = [near for near in found.values() if len(near) == len(PROFILES)]
    return np.array(whole, np.float32).reshape(-1, len(PROFILES)).clip(-1, 1)
