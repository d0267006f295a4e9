"""What trained networks do: pairs told apart, reconstructions, samples, ways between, maps."""

import numpy as np
import pytest
import torch

from aina_core import images
from aina_core.embedding import load_embedder
from aina_core.errors import InputError
from aina_core.explain import load_explainer, similarity_target
from aina_core.models.encoders import Architecture, encoder
from aina_core.training import train
from aina_core.training.autoencoder import Autoencoder
from tests.support.trainings import narrow, small


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def test_a_dense_head_learns_to_tell_pairs_apart(searcher):
    options = {"model": "tiny", "epochs": 50, "rate": 3e-3, "patience": 0}
    record = train(small("siamese-dense", "dense", **options))
    curves = record["curves"]
    assert curves["best"] > 0 and record["result"]["pairs"]["accuracy"] > 0.6
    assert curves["losses"][1] > 0.6 and curves["losses"][-1] < 0.4


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
def test_what_an_autoencoder_makes_of_pictures(searcher, kind):
    record = train(small(kind, "auto"))
    network, gallery = Autoencoder("auto"), searcher.gallery
    ids = record["data"]["split"]["test"][:3]
    pictures = [images.decode(gallery.read(image_id)).pixels for image_id in ids]
    seen, made = network.reconstruct(pictures)
    assert seen.shape == made.shape == (3, 16, 16, 3) and made.dtype == np.uint8
    way = network.interpolate(pictures[0], pictures[1], 5)
    assert abs(way[0].astype(int) - made[0]).max() <= 1
    assert abs(way[-1].astype(int) - made[1]).max() <= 1
    codes = network.codes(seen)
    rows = load_embedder("auto", device="cpu", runtime="torch").embed(pictures)
    assert np.vecdot(codes / np.linalg.norm(codes, axis=1)[:, None], rows) == pytest.approx(1)
    if kind == "vae":
        assert (network.sample(2, 1) == network.sample(2, 1)).all()
        assert (network.sample(2, 1) != network.sample(2, 2)).any()
    else:
        with pytest.raises(InputError, match="cannot be sampled"):
            network.sample(2, 1)


def test_a_network_without_a_decoder_reconstructs_nothing(searcher):
    train(small("adapter", "plain", model="tiny", positives="labels"))
    with pytest.raises(InputError, match="reconstructs nothing"):
        Autoencoder("plain")


@pytest.mark.parametrize("trunk", ["residual", "convolutional"])
@pytest.mark.parametrize("side", [16, 48])
def test_networks_from_scratch(trunk, side):
    decoder = "variational" if trunk == "convolutional" else ""
    network = encoder(Architecture(trunk, dim=6, side=side, decoder=decoder))
    pictures = torch.rand(2, 3, side, side)
    assert network(pictures).shape == (2, 6)
    if decoder:
        means, logs = network.encode(pictures)
        assert means.shape == logs.shape == (2, 6) and (means == network(pictures)).all()
        decoded = network.decode(means)
        assert decoded.shape == pictures.shape and decoded.min() >= 0 and decoded.max() <= 1
    else:
        assert network(torch.rand(1, 3, side + 32, side)).shape == (1, 6), "any size"


@pytest.mark.parametrize(
    ("kind", "options"),
    [("adapter", {"model": "tiny", "positives": "labels", "head_dim": 5}), ("siamese", {})],
)
def test_an_explanation_of_a_trained_model(searcher, kind, options):
    train(small(kind, "mine", **{"side": 32, **options} if kind == "siamese" else options))
    pictures = [
        images.decode(searcher.gallery.read(image_id)).pixels for image_id in searcher.ids[:2]
    ]
    explainer = load_explainer("mine")
    found = [
        explainer.explain(pictures[0], similarity_target(pictures[1], opposite)).map
        for opposite in (False, True)
    ]
    rows = load_embedder("mine", device="cpu", runtime="torch").embed(pictures)
    assert explainer.similarity(*pictures) == pytest.approx(rows[0] @ rows[1], abs=1e-4)
    assert found[0].shape == pictures[0].shape[:2]
    assert max(one.max() for one in found) > 0, "some place speaks for it, or against it"
