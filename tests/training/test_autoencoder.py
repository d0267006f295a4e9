"""What an autoencoder makes of a gallery's images, and which of them its training has not seen."""

import numpy as np
import pytest
from PIL import Image

from aina_core import images
from aina_core.changes import modifications
from aina_core.embedding import preprocess
from aina_core.errors import UnknownNameError
from aina_core.gallery import create, update
from aina_core.models import get
from aina_core.training import train
from aina_core.training.autoencoder import Autoencoder, unseen
from tests.support.trainings import small


@pytest.fixture
def split(searcher):
    """Who was trained on, of a denoising autoencoder named "clean"."""
    return train(small("denoising", "clean", changes=("b/w", "sharpen")))["data"]["split"]


def test_only_held_out_images_are_unseen(searcher, split, photos, embedder):
    gallery = searcher.gallery
    found = unseen("clean", gallery, 100)
    assert found == split["test"] and not set(found) & {*split["train"], *split["validation"]}
    few = unseen("clean", gallery, 3)
    assert (few[0], few[-1]) == (found[0], found[-1]) and len(few) == 3, "from all of them"
    (gallery.root / found[0]).rename(gallery.root / "away")
    try:
        assert unseen("clean", gallery, 100) == found[1:]
    finally:
        (gallery.root / "away").rename(gallery.root / found[0])
    other = create("other", photos)
    update(other, embedder)
    assert len(unseen("clean", other, 5)) == 5


@pytest.mark.parametrize("change", ["b/w", "edge-enhance", "mirrored"])
def test_what_it_is_given_is_the_changed_picture(searcher, split, change):
    network, ids = Autoencoder("clean"), split["test"][:3]
    found = network.look(searcher.gallery, ids, change)
    recipe = get("clean").recipe
    for place, image_id in enumerate(ids):
        picture = images.decode(searcher.gallery.read(image_id)).pixels
        changed = np.asarray(modifications.apply(change, Image.fromarray(picture)))
        assert (found.originals[place] == preprocess(picture, recipe)).all()
        assert (found.seen[place] == preprocess(changed, recipe)).all()
    assert (found.made == network.decode(network.codes(found.seen))).all()
    plain = network.look(searcher.gallery, ids)
    assert (plain.seen == plain.originals).all() and (plain.originals == found.originals).all()
    with pytest.raises(UnknownNameError, match="no-such"):
        network.look(searcher.gallery, ids, "no-such")


def test_the_way_begins_and_ends_at_the_reconstructions(searcher, split):
    network, (first, second) = Autoencoder("clean"), split["test"][:2]
    ends, way = network.between(searcher.gallery, first, second, 4)
    whole = network.look(searcher.gallery, [first, second])
    assert (ends == whole.seen).all() and way.shape == (4, 16, 16, 3)
    assert abs(way[[0, -1]].astype(int) - whole.made).max() <= 1
