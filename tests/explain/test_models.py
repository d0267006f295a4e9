"""Every registered architecture with random weights: maps, or a sentence why not.

The real EfficientNet-Lite models are tested for sense in `test_explain_sense.py`.
"""

import gc

import numpy as np
import pytest

from aina_core import images, models
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import preprocess
from aina_core.errors import InputError
from aina_core.explain import (
    METHODS,
    Explainer,
    class_target,
    explain_crops,
    occlusion,
    overlay,
    similarity_target,
    text_target,
)

#: A convolutional network and a transformer; the others are slow.
QUICK = ("resnet18", "timm:vit_tiny_patch16_224")
NAMES = [
    *QUICK,
    *(pytest.param(n, marks=pytest.mark.slow) for n in models.names() if n not in QUICK),
]


@pytest.fixture(scope="module", params=NAMES)
def explainer(request):
    import torch

    torch.manual_seed(0)
    spec = models.get(request.param)
    yield Explainer(spec, spec.network())
    gc.collect()


@pytest.fixture(scope="module")
def photographs():
    """Two photographs, neither of them square: uint8 (150, 225, 3) and (213, 160, 3)."""
    by_name = {p.name: images.read_image(p.path()) for p in PHOTOGRAPHS}
    coffee, china = by_name["coffee"].resize((225, 150)), by_name["china"].rotate(90, expand=True)
    return np.asarray(coffee), np.asarray(china.resize((160, 213)))


@pytest.fixture
def coarse(monkeypatch):
    """A coarse grid, so that occlusion takes a few forward passes."""
    monkeypatch.setattr(occlusion, "CELLS", 4)


def targets(explainer, other):
    """What this model can be asked, by kind; the others must say why not."""
    made = {
        "class": class_target(7),
        "similarity": similarity_target(other),
        "text": text_target("a cup of coffee"),
    }
    return {kind: target for kind, target in made.items() if not explainer.can(kind)}


def test_every_model_can_explain_a_similarity(explainer):
    spec = explainer.spec
    assert explainer.can("similarity") == explainer.can("occlusion") == ""
    assert (explainer.can("class") == "") == bool(spec.classes)
    assert (explainer.can("text") == "") == spec.text
    assert all(explainer.can(method) == "" for method in METHODS) == bool(spec.layer)
    for kind in ("class", "text", "places", *METHODS):
        reason = explainer.can(kind)
        assert reason == "" or (spec.name in reason and reason.endswith("."))


@pytest.mark.parametrize("method", METHODS)
def test_maps_have_their_form_whatever_the_network(explainer, photographs, coarse, method):
    picture, other = photographs
    for target in targets(explainer, other).values():
        found = explainer.explain(picture, target, method=method)
        assert found.map.shape == picture.shape[:2] and found.map.dtype == np.float32
        assert found.map.min() >= 0 and found.map.max() <= 1 and np.isfinite(found.raw_max)
        assert found.flat == bool(found.note) == (not found.map.any())
        if not found.flat:
            assert found.raw_max > 0 and found.cells.max() == pytest.approx(1)
        assert -1 <= found.score <= 1
        assert overlay(picture, found).shape == picture.shape


def test_what_a_model_cannot_is_refused_in_its_words(explainer, photographs):
    picture, _ = photographs
    for kind, target in {"class": class_target(0), "text": text_target("a cat")}.items():
        if reason := explainer.can(kind):
            with pytest.raises(InputError) as caught:
                explainer.explain(picture, target)
            assert str(caught.value) == reason


def test_a_picture_against_itself_is_flat(explainer, photographs):
    picture, _ = photographs
    found = explainer.explain(picture, similarity_target(picture))
    assert (
        found.flat and found.score == pytest.approx(1, abs=1e-5) and "at its highest" in found.note
    )


def test_the_score_is_that_of_the_embeddings(explainer, photographs):
    """By the network alone, without hooks."""
    import torch

    recipe, rows = explainer.spec.recipe, []
    for picture in photographs:
        given = (preprocess(picture, recipe) / 255 - recipe.mean) / recipe.std
        batch = torch.from_numpy(given.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            rows.append(explainer._network.module(batch)[0].numpy())
    a, b = (row / np.linalg.norm(row) for row in rows)
    found = explainer.explain(photographs[0], similarity_target(photographs[1]))
    assert found.score == pytest.approx(float(a @ b), abs=1e-5)


def test_rows_are_rows_and_columns_are_columns(explainer):
    """A stimulus changes the layer most where it stands: the map is not turned or mirrored."""
    side = 120
    ground = np.random.default_rng(0).integers(90, 160, (side, side, 3), dtype=np.uint8)
    plain = explainer.places(ground, ground).a
    for top in (0, side // 2):
        for left in (0, side // 2):
            changed = ground.copy()
            stripes = np.indices((30, 30)).sum(0) // 5 % 2 * 255
            changed[top + 15 : top + 45, left + 15 : left + 45] = stripes[..., None]
            found = explainer.places(changed, ground).a
            apart = 1 - (found.features * plain.features).sum(1).reshape(found.grid)
            row, column = np.unravel_index(apart.argmax(), found.grid)
            y, x = (row + 0.5) / found.grid[0], (column + 0.5) / found.grid[1]
            assert (y >= 0.5) == (top > 0) or abs(y - 0.5) < 0.1, (top, left, apart)
            assert (x >= 0.5) == (left > 0) or abs(x - 0.5) < 0.1, (top, left, apart)


def test_faithfulness_and_crops_and_places(explainer, photographs, coarse):
    picture, other = photographs
    target = similarity_target(other)
    found = explainer.explain(picture, target, method="occlusion")
    if not found.flat:
        check = explainer.faithfulness(picture, target, found, steps=2)
        assert np.isfinite([check.deletion, check.insertion, check.deletion_random]).all()
        assert check.deletion_curve[0] == pytest.approx(found.score, abs=1e-4)
    (row,) = explain_crops(explainer, picture, [(10, 10, 60, 90)], other)
    assert -1 <= row.to_whole <= 1 and row.explanation.map.shape == (90, 60)
    links = explainer.places(picture, other).strongest(4)
    assert len(links) == 4
    for (top, left, height, width), _, cosine in links:
        assert 0 <= top <= top + height <= 150 + 1e-6 and height > 0
        assert 0 <= left <= left + width <= 225 + 1e-6 and width > 0 and -1 <= cosine <= 1
