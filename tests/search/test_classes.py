"""Classes, texts and labels: what the heads of a network say of stored embeddings."""

import math
import threading

import numpy as np
import pytest
import torch

from aina_core import images, models
from aina_core.embedding import heads, load_embedder, preprocess
from aina_core.errors import InputError
from aina_core.gallery import update
from aina_core.search.classes import (
    best_labels,
    by_class,
    label_probabilities,
    label_vectors,
    top_classes,
)
from aina_core.search.searcher import Searcher
from tests.support.tiny import word_numbers, wordy_network


def logits_by_hand(gallery, ids):
    """The whole network on the files, picture by picture."""
    network, recipe = models.load_network(models.get("tiny")), models.get("tiny").recipe
    for image_id in ids:
        picture = preprocess(np.asarray(images.read_image(gallery.root / image_id)), recipe)
        x = (torch.tensor(picture) / 255 - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
        with torch.inference_mode():
            embedding = network(x.permute(2, 0, 1)[None].float())
            yield network.classify(embedding)[0].tolist()


def softmax(values):
    raised = [math.exp(value - max(values)) for value in values]
    return [each / sum(raised) for each in raised]


@pytest.fixture
def words(wordy):
    return load_embedder(wordy, device="cpu")


# ── classes ──────────────────────────────────────────────────────────────────────────────────────


def test_probabilities_are_those_of_the_whole_network(searcher, embedder, monkeypatch):
    ids = searcher.ids[::5]
    rows = searcher.rows(ids)
    expected = [softmax(row) for row in logits_by_hand(searcher.gallery, ids)]
    found = embedder.probabilities(searcher.matrix[rows], searcher.norms[rows])
    assert found.shape == (len(ids), 1000) and found.dtype == np.float32
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(heads, "_ROWS", 3)  # blocks that end within the rows
    again = embedder.probabilities(searcher.matrix[rows], searcher.norms[rows], 7)
    assert again == pytest.approx(found[:, 7], abs=1e-7)


def test_norms_matter(searcher, embedder):
    """Without them the softmax is another one: that is why they are stored."""
    true = embedder.probabilities(searcher.matrix, searcher.norms)
    flat = embedder.probabilities(searcher.matrix, np.ones_like(searcher.norms))
    assert abs(true - flat).max() > 1e-4


def test_a_class_ranks_the_gallery(searcher, embedder):
    place = 42
    expected = [softmax(row)[place] for row in logits_by_hand(searcher.gallery, searcher.ids)]
    found = searcher.of_class(by_class(searcher, embedder, place))
    order = sorted(range(40), key=lambda row: -expected[row])
    assert [hit.id for hit in found.nearest(5)] == [searcher.ids[row] for row in order[:5]]
    assert found.probabilities == pytest.approx(sorted(expected, reverse=True), rel=1e-3)
    assert found.nearest(1)[0].probability == pytest.approx(max(expected), rel=1e-3)
    assert len(found.nearest(99)) == found.count == 40
    assert found.rank(searcher.ids[order[3]]) == 4
    some = searcher.of_class(by_class(searcher, embedder, place), labels=["brick"])
    assert {hit.label for hit in some.nearest(9)} == {"brick"} and some.count == 4


def test_the_top_classes_of_pictures(searcher, embedder):
    ids = searcher.ids[:3]
    rows = searcher.rows(ids)
    found = top_classes(embedder, searcher.matrix[rows], searcher.norms[rows], 4)
    names = models.class_names(embedder.spec)
    for guesses, logits in zip(found, logits_by_hand(searcher.gallery, ids), strict=True):
        best = sorted(range(1000), key=lambda place: -logits[place])[:4]
        assert [guess.name for guess in guesses] == [names[place] for place in best]
        shares = [softmax(logits)[place] for place in best]
        assert [guess.probability for guess in guesses] == pytest.approx(shares, rel=1e-3)


def test_an_empty_gallery_has_no_classes_to_show(embedder):
    none = embedder.probabilities(np.empty((0, 24), np.float32), np.empty(0, np.float32))
    assert none.shape == (0, 1000)


def test_rows_of_another_model_are_refused(embedder):
    with pytest.raises(InputError, match=r"shape \(2, 7\)"):
        embedder.probabilities(np.ones((2, 7), np.float32), np.ones(2, np.float32))


def test_a_model_without_classes_says_so(words, home, gallery):
    update(gallery, words)
    opened = Searcher(gallery, "wordy")
    with pytest.raises(InputError, match=r"wordy was not trained to tell classes apart; .*tiny"):
        by_class(opened, words, 0)


# ── texts ────────────────────────────────────────────────────────────────────────────────────────


def test_texts_are_unit_rows_in_their_order(words):
    table = wordy_network().table.detach().double().numpy()
    texts = [f"word{n} and word{n % 7}" for n in range(150)]  # more than are computed at once
    found = words.embed_text(texts)
    assert found.shape == (150, 24) and found.dtype == np.float32
    for row, text in zip(found, texts, strict=True):
        total = sum(table[number] for number in word_numbers(text))
        assert row == pytest.approx(total / np.linalg.norm(total), abs=1e-5)
    assert words.embed_text(texts[5:6])[0] == pytest.approx(found[5], abs=1e-6)
    assert words.embed_text([]).shape == (0, 24)


def test_a_model_without_words_says_so_and_which_have_them(embedder, wordy):
    with pytest.raises(InputError, match=r"tiny has no text tower, .* has one: .*wordy"):
        embedder.embed_text(["a"])


@pytest.mark.parametrize("text", ["", "  ", "a\udcff"])
def test_a_text_that_cannot_be_embedded(words, text):
    with pytest.raises(InputError, match="empty or not valid"):
        words.embed_text(["fine", text])


def test_the_heads_are_loaded_once_and_without_the_trunk(embedder, searcher, monkeypatch):
    loads = []
    load = heads.load_network
    monkeypatch.setattr(heads, "load_network", lambda spec: loads.append(spec) or load(spec))
    fresh = load_embedder("tiny", device="cpu")
    start = threading.Barrier(4)
    found = []

    def ask():
        start.wait()
        found.append(fresh.probabilities(searcher.matrix, searcher.norms))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and all((each == found[0]).all() for each in found)
    network = fresh._heads._network
    assert {name for name, weight in network.named_parameters() if weight.numel()} == {
        "head.weight",
        "head.bias",
    }


# ── labels in words ──────────────────────────────────────────────────────────────────────────────

LABELS = ["a cat", "a brick wall", "the moon"]
PROMPTS = ["a photo of {}.", "{} seen from afar", "{} and {}"]


def test_prompts_are_averaged_as_in_the_paper(words):
    found = label_vectors(words, LABELS, PROMPTS)
    for label, row in zip(LABELS, found, strict=True):
        units = [words.embed_text([prompt.replace("{}", label)])[0] for prompt in PROMPTS]
        mean = [sum(float(unit[i]) for unit in units) / 3 for i in range(24)]
        length = math.sqrt(sum(value * value for value in mean))
        assert row.tolist() == pytest.approx([value / length for value in mean], abs=1e-6)


def test_label_probabilities_against_a_plain_loop(words, searcher):
    vectors = label_vectors(words, LABELS, PROMPTS)
    found = label_probabilities(searcher.matrix[:6], vectors)
    for row, shares in zip(searcher.matrix[:6], found, strict=True):
        cosines = [sum(float(a) * float(b) for a, b in zip(row, v, strict=True)) for v in vectors]
        assert shares.tolist() == pytest.approx(softmax([100 * c for c in cosines]), abs=1e-4)
    guesses = best_labels(searcher.matrix[:6], LABELS, vectors)
    assert all({guess.name for guess in each} == set(LABELS) for each in guesses)
    assert all(each[0].probability >= each[1].probability for each in guesses)
    assert guesses[0][0].name == LABELS[int(found[0].argmax())]


@pytest.mark.parametrize(
    ("labels", "prompts", "sentence"),
    [
        ([], ["{}"], "0 labels"),
        (["a"], ["{}"], "at least two"),
        (["a", "a"], ["{}"], "'a' is given twice"),
        (["a", " "], ["x{}"], "empty"),
        (["a", "b"], ["a photo"], "no {}"),
        (["a", "b"], [], "0 prompts"),
        (["a", "b"], ["{}"] * 101, "101 prompts"),
        ([str(n) for n in range(1001)], ["{}"], "1,001 labels"),
    ],
)
def test_labels_and_prompts_that_are_none(words, labels, prompts, sentence):
    with pytest.raises(InputError, match=sentence):
        label_vectors(words, labels, prompts)


def test_a_prompt_with_braces_of_its_own(words):
    assert label_vectors(words, ["a{0}", "b{x}"], ["{} {y} {"]).shape == (2, 24)
