"""Trainings that diverge: nothing that is no number is kept, and a smaller rate helps."""

import numpy as np
import pytest
import torch

from aina_core import models
from aina_core.errors import TrainingError
from aina_core.models.trained import folder
from aina_core.training import train, unfinished
from aina_core.training.checkpoints import runs_folder
from tests.support.trainings import narrow, small


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def finite(path):
    tensors = models.load_tensors(path)
    return all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize(
    ("kind", "rate", "options"),
    [
        # one step an epoch: its loss is finite, and what it leaves is not
        ("siamese", 3e37, {"groups": 64, "decay": 10.0}),
        ("adapter", 3e37, {"groups": 64, "model": "tiny", "positives": "labels"}),
        ("siamese", 1e39, {}),
        # finite weights, whose embeddings or next losses are not
        ("siamese", 1e30, {}),
        ("autoencoder", 1e20, {}),
    ],
)
def test_a_huge_rate_keeps_only_what_a_smaller_one_can_go_on_from(searcher, kind, rate, options):
    options = {"epochs": 3, "patience": 0, **options}
    with pytest.raises(TrainingError, match=r"in epoch \d.*--rate") as told:
        train(small(kind, "wild", rate=rate, **options))
    (waiting,) = unfinished()
    assert waiting.curves.epoch == waiting.curves.best and "wild" not in models.names()
    assert np.isfinite(waiting.curves.scores).all()
    assert f"until epoch {waiting.curves.best}, the best, is kept" in str(told.value)
    kept = sorted(runs_folder().glob("wild/best-*.safetensors"))
    assert len(kept) == 1 and finite(kept[0])
    record = train(small(kind, "wild", rate=1e-4, **options))
    assert record["curves"]["scores"][: waiting.curves.epoch + 1] == waiting.curves.scores
    rates = [[1, rate]] if waiting.curves.epoch else []
    assert record["curves"]["rates"] == [*rates, [waiting.curves.epoch + 1, 1e-4]]
    assert record["result"]["epochs"] == 3 and finite(folder() / "wild" / "weights.safetensors")


def test_a_best_epoch_without_a_finite_loss_begins_anew(searcher, monkeypatch):
    """From there no rate can go on: the loss is no number before any step."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "aina_core.training.run.objective",
            lambda settings, inputs: lambda network, batch: next(network.parameters()).sum() / 0,
        )
        with pytest.raises(TrainingError, match="starts again"):
            train(small("siamese", "sick"))
    assert train(small("siamese", "sick"))["result"]["epochs"] == 2
