"""The norms of embeddings: stored beside the unit rows, exact through every kind of run."""

import json
import os

import numpy as np
import pytest
import torch

from aina_core import images, models
from aina_core.embedding import load_embedder, preprocess
from aina_core.errors import DamagedError
from aina_core.gallery import create, open_gallery, update
from aina_core.gallery.verify import repair, verify
from aina_core.search.searcher import Searcher
from tests.support.galleries import bring_up, stored


def lengths_by_hand(gallery, ids) -> np.ndarray:
    """The length of each embedding, by the network itself, picture by picture."""
    network, recipe = models.load_network(models.get("tiny")), models.get("tiny").recipe
    found = []
    for image_id in ids:
        picture = preprocess(np.asarray(images.read_image(gallery.root / image_id)), recipe)
        x = (torch.tensor(picture) / 255 - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
        with torch.inference_mode():
            found.append(network(x.permute(2, 0, 1)[None].float())[0].norm())
    return np.array(found)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_norm_is_the_length_that_the_embedding_had(home, photos, tiny, runtime):
    made = create("mine", photos)
    update(made, load_embedder(tiny, device="cpu", runtime=runtime))
    vectors = made.vectors(tiny)
    assert vectors.norms.dtype == np.float32 and vectors.norms.shape == (12,)
    assert np.allclose(vectors.norms, lengths_by_hand(made, vectors.ids), rtol=1e-4)
    assert vectors.norms.std() > 1e-3, "they differ from image to image"


def test_norms_go_along_with_their_images(gallery, embedder, photos, pictures):
    def norms():
        vectors = gallery.vectors("tiny")
        return dict(zip(vectors.ids, vectors.norms.tolist(), strict=True))

    before = norms()
    (photos / "astronaut" / "1.jpg").unlink()
    pictures[33].save(photos / "brick" / "1.jpg")
    pictures[34].save(photos / "aaa.png")
    assert bring_up(gallery, embedder) == (1, 1, 1, 10)
    after = norms()
    assert all(after[i] == before[i] for i in after.keys() - {"aaa.png", "brick/1.jpg"})
    assert after["brick/1.jpg"] != before["brick/1.jpg"]
    fresh = create("fresh", photos)
    update(fresh, embedder)
    assert stored(fresh, "tiny") == stored(gallery, "tiny")


def test_damaged_norms_are_found(gallery, embedder):
    whole = stored(gallery, "tiny")
    (norms,) = gallery.store("tiny").folder.glob("norms-*.npy")
    os.truncate(norms, norms.stat().st_size - 4)
    assert "norms-1.npy" in verify(gallery)[0]
    with pytest.raises(DamagedError, match=r"norms-1\.npy"):
        Searcher(gallery, "tiny")
    assert repair(gallery) == [] and stored(gallery, "tiny") == whole


@pytest.fixture
def outdated(gallery):
    """A gallery as earlier versions stored it."""
    folder = gallery.store("tiny").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    (norms,) = folder.glob("norms-*.npy")
    norms.unlink()
    del manifest["files"][norms.name]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    return gallery


def test_a_gallery_of_an_earlier_version_is_said_in_one_sentence(outdated, aina, photos):
    command = f"python -m aina_core index {photos} --gallery mine --model tiny"
    run = aina("search", "--gallery", "mine", "--model", "tiny", "--image-id", "brick/1.jpg")
    assert run.status == 2 and len(run.err.splitlines()) == 1
    assert "stored by an earlier version" in run.err and run.err.strip().endswith(command)
    assert "earlier version" in verify(outdated)[0]
    assert aina(*command.split()[3:]).status == 0, "the command that it gives mends it"
    assert verify(open_gallery("mine")) == []
    assert len(Searcher(outdated, "tiny").search(outdated.vectors("tiny").matrix[0]).nearest(5))
