"""What trained autoencoders draw: reconstructions, samples, and paths between two images."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.changes import modifications
from aina_core.embedding import preprocess
from aina_core.errors import InputError
from aina_core.gallery import Gallery
from aina_core.models import get, load_network
from aina_core.models.trained import manifest


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """What an autoencoder makes of images, each uint8 (n, side, side, 3).

    Attributes:
        originals: the images as the network would see them unchanged.
        seen: its input: the originals, or their changed versions.
        made: what it decodes from that input.
    """

    originals: np.ndarray
    seen: np.ndarray
    made: np.ndarray


def unseen(model: str, gallery: Gallery, most: int) -> list[str]:
    """Return ids of a gallery's images that the training of a model has not seen.

    In the gallery that it was trained on, these are the originals held out for the table at the
    end; all images of any other gallery count as unseen.

    Args:
        model: name of a trained model.
        gallery: whose images are returned.
        most: how many at most, evenly spaced in the order of their ids.

    Raises:
        InputError: no model of that name was trained here.
        DamagedError: its record cannot be read.
    """
    data = manifest(model)["data"]
    records = gallery.catalogue.images()
    own = gallery.name == data["gallery"]
    ids = data["split"]["test"] if own else sorted(records)
    there = [i for i in ids if i in records and records[i].failure is None]
    places = np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int)
    chosen = [there[place] for place in places]
    return [one for one in chosen if gallery.path(records[one]).is_file()]


class Autoencoder:
    """A trained autoencoder, on the CPU. Safe to share between threads.

    Attributes:
        model: its name.
        kind: of its training.
        samples: whether pictures can be sampled from it.

    Args:
        model: name of a model that was trained as an autoencoder, vae or denoising.

    Raises:
        InputError: it was trained as another kind.
    """

    def __init__(self, model: str) -> None:
        record = manifest(model)
        made = record["architecture"]
        if not made.get("decoder"):
            raise InputError(f"{model} is a {record['kind']} network, which reconstructs nothing.")
        self.model, self.kind = model, str(record["kind"])
        self.samples = made["decoder"] == "variational"
        self._spec = get(model)
        self._network: Any = load_network(self._spec).requires_grad_(False)
        self._lock = threading.Lock()

    def inputs(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return pictures, uint8 (h, w, 3), as the network sees them: uint8 (n, side, side, 3)."""
        return np.stack([preprocess(picture, self._spec.recipe) for picture in pictures])

    def codes(self, inputs: np.ndarray) -> np.ndarray:
        """Return embeddings, float32 (n, dim), not normalised, of what `inputs` returned."""
        import torch

        recipe = self._spec.recipe
        x = inputs.astype(np.float32) / 255
        x = (x - np.array(recipe.mean, np.float32)) / np.array(recipe.std, np.float32)
        batch = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        with self._lock, torch.inference_mode():
            found: np.ndarray = self._network.features(batch).numpy()
        return found

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return pictures, uint8 (n, side, side, 3), of embeddings, float32 (n, dim)."""
        import torch

        with self._lock, torch.inference_mode():
            decoded = self._network.decode(torch.from_numpy(codes.astype(np.float32)))
            pixels: np.ndarray = (decoded * 255).round().byte().permute(0, 2, 3, 1).numpy()
        return pixels

    def reconstruct(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return pictures as the network sees and as it reconstructs them, each as `inputs`."""
        seen = self.inputs(pictures)
        return seen, self.decode(self.codes(seen))

    def look(
        self, gallery: Gallery, ids: Sequence[str], change: str | None = None
    ) -> Reconstructed:
        """Return the reconstructions of images of a gallery, or of their changed versions.

        Args:
            gallery: that has them.
            ids: of the images.
            change: name of a modification or profile; None for the images as they are.

        Raises:
            ImageError: one cannot be read.
            UnknownNameError: there is no modification or profile of that name.
        """
        pictures = [images.decode(gallery.read(image_id)).pixels for image_id in ids]
        originals = self.inputs(pictures)
        seen = originals
        if change is not None:
            changed = (modifications.apply(change, Image.fromarray(one)) for one in pictures)
            seen = self.inputs([np.asarray(one) for one in changed])
        return Reconstructed(originals, seen, self.decode(self.codes(seen)))

    def between(
        self, gallery: Gallery, first: str, second: str, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the path from one image of a gallery to another; see `interpolate`.

        Returns:
            The two images as the network sees them, uint8 (2, side, side, 3); and the path, uint8
            (steps, side, side, 3).

        Raises:
            ImageError: one cannot be read.
        """
        pictures = [images.decode(gallery.read(image_id)).pixels for image_id in (first, second)]
        return self.inputs(pictures), self.interpolate(pictures[0], pictures[1], steps)

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Return pictures of embeddings drawn from the normal distribution, uint8 (count, …).

        Raises:
            InputError: the model is not variational, so nothing can be sampled.
        """
        if not self.samples:
            raise InputError(f"{self.model} is no variational autoencoder and cannot be sampled.")
        rng = np.random.default_rng(seed)
        return self.decode(rng.standard_normal((count, self._spec.dim)))

    def interpolate(self, first: np.ndarray, second: np.ndarray, steps: int) -> np.ndarray:
        """Return the path from one picture to another, uint8 (steps, side, side, 3).

        The steps are evenly spaced between the two embeddings; the ends are the reconstructions.

        Args:
            first: uint8 (h, w, 3).
            second: uint8 (h, w, 3).
            steps: at least 2.
        """
        start, end = self.codes(self.inputs([first, second]))
        shares = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - shares) * start + shares * end)
