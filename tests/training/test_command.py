"""A training as a command line: read again, it asks for the same."""

import pytest

from aina_core import training
from aina_core.training.command import arguments
from tests.support.trainings import small


@pytest.fixture
def read(aina, monkeypatch):
    """Reads a command line as settings, and trains nothing."""
    found = []

    def train(settings, **_):
        found.append(settings)
        return {"result": {"name": settings.name}}

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr("aina_core.cli.train._lines", lambda result: [])

    def read(words):
        assert aina(*words).status == 0
        return found.pop()

    return read


PAIRS = (("astronaut/1.jpg", "brick/1.jpg"), ("brick/2.jpg", "camera/1.jpg"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("adapter", {"model": "tiny", "hold_out": ("mirrored",), "shrinkage": 0.3}),
        ("adapter", {"model": "tiny", "positives": "labels", "head_dim": 7, "temperature": 0.07}),
        ("adapter", {"model": "tiny", "pairs": PAIRS, "loss": "triplet", "margin": 0.35}),
        ("siamese", {"model": "tiny", "trunk": "trained", "head": "none", "decay": 0.0}),
        ("siamese", {"side": 32, "dim": 12, "members": 3}),
        ("siamese-dense", {"combine": "concat", "originals": 20, "patience": 0}),
        ("siamese-dense", {"model": "tiny", "trunk": "trained"}),
        ("triplet", {"model": "tiny", "loss": "multi-similarity", "head": "residual"}),
        ("triplet", {"mining": "semi-hard", "loss": "triplet", "seed": 4}),
        ("autoencoder", {"rate": 1.5e-4}),
        ("vae", {"test_share": 0.35}),
        ("denoising", {"changes": ("b/w", "sharpen"), "epochs": 77}),
    ],
)
def test_settings_survive_the_command_line(searcher, read, kind, options):
    settings = small(kind, "mine", **options)
    assert read(arguments(settings)) == settings
    slower = read(arguments(settings, rate=1e-5, epochs=9))
    assert (slower.rate, slower.epochs) == (1e-5, 9)
