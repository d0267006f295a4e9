"""What is trained on and judged by, where there is little of it."""

import shutil

import numpy as np
import pytest

from aina_core import images
from aina_core.changes import modifications
from aina_core.embedding import load_embedder, preprocess
from aina_core.errors import InputError
from aina_core.gallery import Annotation, create, update
from aina_core.models.trained import recipe_of
from aina_core.progress import never, silent
from aina_core.training import train
from aina_core.training.checkpoints import runs_folder
from aina_core.training.evaluation import Judged
from aina_core.training.networks import architecture
from aina_core.training.pictures import pictures
from aina_core.training.plan import plan
from tests.support.trainings import CHANGES, narrow, small


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


@pytest.mark.parametrize(
    ("kind", "options", "part"),
    [
        ("siamese", {}, "checked"),
        ("siamese-dense", {}, "judged"),
        ("vae", {}, "judged"),
        ("adapter", {"model": "tiny", "positives": "labels"}, "judged"),
        ("adapter", {"model": "tiny", "positives": "labels"}, "validation"),
        ("adapter", {"model": "tiny", "positives": "labels"}, "train"),
    ],
)
def test_too_few_are_left_of_what_can_be_read(searcher, kind, options, part):
    settings = small(kind, "x", judged=3, **options)
    made = plan(settings, searcher.gallery)
    places = getattr(made, part, None)
    places = getattr(made.split, part) if places is None else places
    keep = 1
    if part == "train":  # one of each label: no two belong together
        keep = 0
        places = np.setdiff1d(places, places[np.unique(made.codes[places], return_index=True)[1]])
    with pytest.raises(InputError, match=r"\d+ of 40 images cannot be read; .*(left|have|has)"):
        made.without({int(place) for place in places[keep:]}, settings)
    assert made.without({int(places[0])}, settings).codes is made.codes or len(places) < 3


def test_a_validation_part_without_partners_is_refused(searcher):
    """Every score would be 0, and the head as it began would be kept."""
    made = plan(small("adapter", "x", model="tiny", positives="labels"), searcher.gallery)
    train_ids = [made.originals[place].id for place in made.split.train[:8]]
    pairs = tuple(zip(train_ids[::2], train_ids[1::2], strict=True))
    refused = 0
    for seed in range(8):
        settings = small("adapter", "x", model="tiny", pairs=pairs, seed=seed)
        try:
            chosen = plan(settings, searcher.gallery)
        except InputError as error:
            refused += "would stop the training, none has a group" in str(error)
            continue
        codes = chosen.codes[chosen.split.validation]
        assert max(np.unique(codes[codes >= 0], return_counts=True)[1]) > 1
    assert refused


def test_what_is_judged_is_drawn_from_the_whole_part(searcher):
    settings = small("siamese", "x", judged=5)
    made = plan(settings, searcher.gallery)
    assert len(made.judged) == 5 and np.isin(made.judged, made.split.test).all()
    assert (np.diff(made.judged) > 0).all() and (np.diff(made.checked) > 0).all()
    assert made.judged.tolist() == plan(settings, searcher.gallery).judged.tolist()
    drawn = {
        tuple(np.searchsorted(m.split.test, m.judged))
        for m in (plan(small("siamese", "x", judged=5, seed=s), searcher.gallery) for s in range(3))
    }
    assert len(drawn) == 3, "not the first by name, whatever the seed"


def test_no_precision_at_more_than_there_are_versions(searcher):
    made = plan(small("siamese", "x"), searcher.gallery)

    def rows(places, columns):  # each version stands where its original is
        angles = places / 40 * np.pi + columns * 1e-4
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    figures = Judged(rows, made, CHANGES, 0).figures
    assert figures["recovery_precision@3"] == 1 and figures["recovery_precision@5"] is None
    figures = Judged(rows, made, CHANGES[:1], 0).figures
    assert figures["recovery_precision@1"] == 1 and figures["recovery_precision@3"] is None


def test_trained_on_counts_those_that_the_loss_sees(searcher):
    """Of labels only originals that have a label which another has too."""
    settings = small("adapter", "x", model="tiny", positives="labels", epochs=1)
    made = plan(settings, searcher.gallery)
    counts = np.bincount(made.codes[made.split.train])
    able = int(counts[counts > 1].sum())
    assert able < len(made.split.train), "some of them are alone with their label"
    assert train(settings)["result"]["trained_on"] == able
    other = train(small("adapter", "y", model="tiny", epochs=1))["result"]["trained_on"]
    assert other == len(made.split.train)


def test_pairs_join_by_way_of_images_that_are_not_trained_on(searcher, tmp_path):
    """Not drawn, a copy, or a modification: strangers would be pushed apart as negatives."""
    root = tmp_path / "chained"
    shutil.copytree(searcher.gallery.root, root)
    ids = searcher.ids
    shutil.copyfile(root / ids[0], root / "zz.png")  # a copy: the first by name is the original
    gallery = create("chained", root)
    update(gallery, load_embedder("tiny", device="cpu"))
    drawn = {one.id for one in plan(small("siamese", "x", originals=30), gallery).originals}
    bridges = [i for i in ids if i not in drawn and i != ids[0]]
    kept = [i for i in ids if i in drawn and i != ids[0]]
    pairs = ((kept[0], bridges[0]), (bridges[0], kept[1]), (kept[2], kept[3]))
    pairs += ((kept[4], bridges[1]), ("zz.png", kept[5]), (ids[0], kept[6]), (ids[0], "zz.png"))
    pairs += tuple(zip(kept[7:16], kept[16:25], strict=False))
    options = {"gallery": "chained", "model": "tiny", "originals": 30}
    settings = small("adapter", "x", pairs=pairs, **options)
    made = plan(settings, gallery)
    code = {one.id: code for one, code in zip(made.originals, made.codes, strict=True)}
    assert code[kept[0]] == code[kept[1]] >= 0, "their bridge was not drawn"
    assert code[kept[5]] == code[kept[6]] >= 0, "by way of a copy"
    assert code[kept[0]] != code[kept[2]] == code[kept[3]] and code[kept[4]] == -1
    family = np.flatnonzero(made.codes == code[kept[0]])
    parts = (made.split.train, made.split.validation, made.split.test)
    assert sum(np.isin(family, part).any() for part in parts) == 1
    result = train(settings)["result"]
    passed = 2  # to one that was not drawn and joins no other, and between a copy and its original
    assert result["given_pairs"] == {"used": len(pairs) - passed, "passed_over": passed}


def test_a_pair_of_a_modification_is_one_of_its_original(searcher):
    ids = searcher.ids
    searcher.gallery.catalogue.annotate(
        (i, Annotation(f"thing {n % 20}", "", {"modification": "original" if n < 20 else "b/w"}))
        for n, i in enumerate(ids)
    )
    pairs = ((ids[20], ids[1]), *zip(ids[2:10], ids[10:18], strict=True))
    settings = small("adapter", "x", model="tiny", pairs=pairs, test_share=0.2)
    made = plan(settings, searcher.gallery)
    assert len(made.originals) == 20 and made.pairs_used == len(pairs)
    assert made.codes[0] == made.codes[1] >= 0


def test_the_small_pictures_are_those_of_the_pipeline(searcher):
    settings = small("siamese", "x", positives="modifications")
    made, recipe = plan(settings, searcher.gallery), recipe_of(architecture(settings))
    folder = runs_folder() / "x"
    folder.mkdir(parents=True)
    rows = pictures(folder, searcher.gallery, recipe, made.wanted, progress=silent, stop=never)
    place = int(made.split.train[3])
    image = images.read_image(searcher.gallery.root / made.originals[place].id)
    for column, change in enumerate(CHANGES, start=1):
        changed = np.asarray(modifications.apply(change, image))
        found = rows.take(np.array([place]), column)[0]
        assert (found == preprocess(changed, recipe)).all()
    with pytest.raises(IndexError):
        rows.take(made.split.test[-1:], 1)
