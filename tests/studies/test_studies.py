"""Studies: figures against plain loops, versions made on the fly, going on after a kill."""

import json
import signal
import time

import numpy as np
import pytest

from aina_core import studies
from aina_core.changes import modifications
from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.changes.originals import Original, find_originals
from aina_core.changes.versions import Bench, Versions
from aina_core.embedding import load_embedder
from aina_core.errors import AinaError, DamagedError, GalleryBusyError, InputError, StoppedError
from aina_core.gallery import Annotation, create, open_gallery, update
from aina_core.images import read_image
from aina_core.metrics.separation import draw_pairs
from aina_core.progress import never, silent
from aina_core.studies import KINDS, store
from aina_core.studies.modifications import by_mean, by_separation, study_modifications
from aina_core.studies.published import PUBLISHED, published
from aina_core.studies.settings import read
from tests.support.process import start_tiny
from tests.support.studies import CHANGES, TWO, settings

# ── what is asked for ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("dance", {}, "no study named 'dance'"),
        ("recovery", {"models": ()}, "0 models"),
        ("recovery", {"models": ("tiny", "tiny")}, "named twice"),
        ("recovery", {"models": ("nope",)}, "no model named 'nope'"),
        ("recovery", {"originals": 1}, "at least 2"),
        ("recovery", {"ks": (0,)}, "k is 0"),
        ("recovery", {"ks": (1, 101)}, "k is 101"),
        ("recovery", {"changes": ("melted",)}, "'melted'"),
        ("recovery", {"seed": -1}, "seed is -1"),
        ("modifications", {"ks": (5,)}, "leave k out"),
        ("retrieval", {"changes": ("mirrored",)}, "changes no images"),
    ],
)
def test_settings_that_are_refused(tiny, kind, options, sentence):
    with pytest.raises(InputError, match=sentence):
        studies.settle(kind, "photos", options.pop("models", ("tiny",)), **options)


def test_missing_settings_are_completed(tiny):
    made = studies.settle("modifications", "photos", ("tiny",))
    assert made.changes == tuple(MODIFICATIONS) and made.ks == () and made.originals is None
    made = studies.settle("recovery", "photos", ("tiny",), ks=(5, 1, 5))
    assert made.changes == tuple(PROFILES) and made.ks == (1, 5)
    assert studies.settle("recovery", "photos", ("tiny",)).ks == (1, 3, 5)
    both = studies.settle("recovery", "p", ("tiny",), changes=("profiles", "mirrored", "b/w"))
    assert both.changes == (*PROFILES, "mirrored")
    assert read(json.loads(json.dumps(both.as_dict()))) == both


# ── originals ────────────────────────────────────────────────────────────────────────────────────


def test_originals_are_all_images_or_those_that_the_labels_mark(gallery, embedder):
    ids = [o.id for o in find_originals(gallery, None, 0)]
    assert ids == sorted(gallery.catalogue.images()) and len(ids) == 12
    assert find_originals(gallery, None, 0)[0].label == "astronaut"
    kinds = dict.fromkeys(ids, "mirrored") | dict.fromkeys(ids[3:6], "original")
    notes = {key: Annotation("x", "", {"modification": kind}) for key, kind in kinds.items()}
    gallery.catalogue.annotate(notes.items())
    assert [o.id for o in find_originals(gallery, None, 0)] == ids[3:6]


def test_originals_are_drawn_by_a_seed_and_equal_files_count_once(gallery, embedder, photos):
    first = sorted(photos.rglob("*.*"))[0]
    (photos / "zebra.png").write_bytes(first.read_bytes())
    update(gallery, embedder)
    everything = [o.id for o in find_originals(gallery, None, 0)]
    assert len(everything) == 12 and "zebra.png" not in everything
    some = [[o.id for o in find_originals(gallery, 5, seed)] for seed in (1, 1, 2)]
    assert some[0] == some[1] != some[2] and some[0] == sorted(set(some[0]) & set(everything))
    assert len(find_originals(gallery, 100, 0)) == 12


def test_a_gallery_that_is_too_small(home, tmp_path, pictures, embedder):
    (tmp_path / "one").mkdir()
    pictures[0].save(tmp_path / "one" / "only.png")
    update(create("one", tmp_path / "one"), embedder)
    with pytest.raises(InputError, match="1 different images"):
        find_originals(open_gallery("one"), None, 0)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────


def bench(tmp_path, gallery, embedder, changes=CHANGES):
    return Bench(tmp_path / "work", embedder, find_originals(gallery, None, 0), changes)


def test_versions_have_the_embeddings_of_their_pixels_and_are_not_written(
    gallery, embedder, tmp_path
):
    work = bench(tmp_path, gallery, embedder)
    with work.locked():
        made = work.embed(gallery, progress=silent, stop=never)
    for at in (0, 7):
        image = read_image(gallery.root / made.originals[at].id)
        expected = [image, *(modifications.apply(name, image) for name in CHANGES)]
        found = made.matrix[made.rows[at]]
        np.testing.assert_array_equal(found, embedder.embed(expected))
    assert (made.rows.shape, made.cost.images) == ((12, 5), 60)
    assert made.cost.images_per_second > 0 and made.cost.peak_memory > 10_000_000
    assert {path.suffix for path in work.folder.iterdir()} == {"", ".f32", ".json", ".jsonl"}


def test_a_stopped_run_resumes_and_gives_the_same_bytes(gallery, embedder, tmp_path):
    whole = bench(tmp_path / "whole", gallery, embedder)
    with whole.locked():
        expected = whole.embed(gallery, progress=silent, stop=never)
    work = bench(tmp_path, gallery, embedder)
    seen = []
    with work.locked():
        with pytest.raises(StoppedError, match="the same command goes on"):
            work.embed(
                gallery,
                progress=lambda phase, done, total: seen.append(done),
                stop=lambda: len(seen) > 20,
            )
        stopped = (work.folder / "journal.f32").read_bytes()
        assert 20 * 24 * 4 <= len(stopped) < 60 * 24 * 4
        done = []
        found = work.embed(gallery, progress=lambda p, d, t: done.append(d), stop=never)
    assert done[0] == len(stopped) // 96 and done[-1] == 60
    assert (work.folder / "journal.f32").read_bytes().startswith(stopped)
    np.testing.assert_array_equal(found.matrix[found.rows], expected.matrix[expected.rows])


def test_two_processes_do_not_do_the_same_study_at_once(gallery, embedder, tmp_path):
    with (
        bench(tmp_path, gallery, embedder).locked(),
        pytest.raises(GalleryBusyError, match="Another process"),
        bench(tmp_path, gallery, embedder).locked(),
    ):
        pass
    other = bench(tmp_path, gallery, embedder, CHANGES[:2])
    with bench(tmp_path, gallery, embedder).locked(), other.locked():
        pass


def test_a_missing_or_changed_file_is_left_out_and_named(gallery, embedder, photos, tmp_path):
    files = sorted(photos.rglob("*.*"))
    files[0].unlink()
    files[1].write_bytes(files[2].read_bytes())
    made = studies.run(studies.settle("recovery", "mine", ("tiny",), ks=(1,)))
    assert [f["reason"] for f in made.results["failed"]] == [
        "the file is missing",
        "the file has changed; index the gallery again",
    ]
    assert made.results["originals"] == 10 and len(made.images) == 10
    for file in files[2:-1]:
        file.unlink()
    with pytest.raises(InputError, match="Of 12 originals 1 can be read"):
        studies.run(studies.settle("recovery", "mine", ("tiny",), ks=(1,)))


def test_a_killed_run_resumes_and_finds_the_same(home, gallery, tiny):
    words = ["study", "modifications", "--gallery", "mine", "--models", "tiny", "--json"]
    process = start_tiny(*words)
    journals = store.folder() / ".work"
    while not any(p.stat().st_size for p in journals.glob("*/journal.f32")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (kept,) = journals.glob("*/journal.f32")
    assert 0 < kept.stat().st_size < 12 * 19 * 96
    assert store.studies() == ([], {})
    first = studies.run(studies.settle("modifications", "mine", ("tiny",)))
    images = first.results["costs"]["tiny"]["images"]
    assert 100 <= images <= 12 * 19, "of both runs; a kill may cost the measure of a chunk"
    assert not list(journals.glob("*")), "what is stored needs no embeddings any more"
    again = studies.run(studies.settle("modifications", "mine", ("tiny",)))
    same_figures(first, again)


def same_figures(first, again):
    costs = {"costs": None}
    assert {**first.results, **costs} == {**again.results, **costs}
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


# ── modifications ────────────────────────────────────────────────────────────────────────────────


def embedded(gallery, model, images, changes):
    """Every image and its changed versions, (n, 1 + c, dim), one by one."""
    embedder = load_embedder(model, device="cpu")
    pictures = [read_image(gallery.root / image.id) for image in images]
    made = [[p, *(modifications.apply(c, p) for c in changes)] for p in pictures]
    return np.stack([embedder.embed(row) for row in made]).astype(np.float64)


@pytest.mark.parametrize("model", TWO)
def test_modifications_against_a_plain_loop(studied, other_tiny, model):
    from sklearn.metrics import roc_auc_score

    run = studied.runs["modifications"]
    rows = embedded(studied.gallery, model, run.images, CHANGES)
    count = len(rows)
    assert count == 12
    found = run.results["models"][model]
    negatives = []
    for place, change in enumerate(CHANGES, start=1):
        own = [float(row[0] @ row[place]) for row in rows]
        others = [
            float(rows[i, 0] @ rows[j, place]) for i in range(count) for j in range(count) if i != j
        ]
        negatives += others
        one = found["modifications"][change]
        assert one["median"] == pytest.approx(np.median(own), abs=2e-6)
        assert one["mean"] == pytest.approx(np.mean(own), abs=2e-6)
        assert one["std"] == pytest.approx(np.std(own), abs=2e-6)
        assert one["n"] == count
        truth = [1] * len(own) + [0] * len(others)
        assert one["auc"] == pytest.approx(roc_auc_score(truth, own + others), abs=2e-6)
        place_ = TWO.index(model), slice(None), place - 1
        np.testing.assert_allclose(run.arrays["cosines"][place_], own, atol=1e-6)
    pairs = [float(rows[i, 0] @ rows[j, 0]) for j in range(count) for i in range(j)]
    assert found["baseline"]["median"] == pytest.approx(np.median(pairs), abs=2e-6)
    assert found["baseline"]["mean"] == pytest.approx(np.mean(pairs), abs=2e-6)
    assert found["baseline"]["n"] == len(pairs) == 66
    everything = np.einsum("nd,ncd->nc", rows[:, 0], rows[:, 1:]).ravel()
    truth = np.repeat([1, 0], [everything.size, len(negatives)])
    auc = roc_auc_score(truth, np.r_[everything, negatives])
    assert found["auc"] == found["overall"]["auc"] == pytest.approx(auc, abs=2e-6)
    assert found["overall"]["mean"] == pytest.approx(everything.mean(), abs=2e-6)


def test_every_figure_of_modifications_has_an_interval_around_it(studied):
    for found in studied.runs["modifications"].results["models"].values():
        parts = [*found["modifications"].values(), found["baseline"], found["overall"]]
        for part in parts:
            for name, (low, high) in part["intervals"].items():
                assert low <= part[name] + 1e-6 and part[name] - 1e-6 <= high, name
                assert low < high or part[name] == 1
        low, high = found["auc_interval"]
        assert low <= found["auc"] <= high


def test_the_same_command_gives_the_same_numbers_and_a_seed_others(
    studied, other_tiny, monkeypatch
):
    monkeypatch.setenv("AINA_HOME", str(studied.home))
    first = studied.runs["modifications"]
    again = studies.run(first.settings)
    same_figures(first, again)
    other = studies.run(settings("modifications", seed=1, models=("tiny",)))
    assert [i.id for i in other.images] != [i.id for i in first.images]
    for run in (again, other):
        studies.delete(run.id)


def test_differences_are_paired(studied):
    run = studied.runs["modifications"]
    tests = run.results["differences"]
    assert len(tests) == 2 * (1 + len(CHANGES))
    overall = next(t for t in tests if t["figure"] == "auc" and "change" not in t)
    by_query = run.arrays["placements"].mean(axis=2)
    expected = float((by_query[0] - by_query[1]).mean())
    assert overall["difference"] == pytest.approx(expected, abs=1e-5)
    aucs = [run.results["models"][model]["auc"] for model in TWO]
    assert overall["difference"] == pytest.approx(aucs[0] - aucs[1], abs=1e-5)
    family = [t for t in tests if t["figure"] == "auc" and "change" in t]
    assert all(t["p"] <= t["p_holm"] <= min(1, t["p"] * len(family)) + 1e-9 for t in family)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("count", "most"), [(7, 100), (60, 500), (6000, 400)])
def test_drawn_pairs_are_different_and_of_two_originals(count, most, ordered):
    pairs = draw_pairs(count, 3, ordered=ordered, most=most)
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert (pairs[:, 0] != pairs[:, 1]).all() and pairs.min() >= 0 and pairs.max() < count
    assert ordered or (pairs[:, 0] < pairs[:, 1]).all()
    total = count * (count - 1) // (1 if ordered else 2)
    assert len(pairs) == min(total, most)
    np.testing.assert_array_equal(pairs, draw_pairs(count, 3, ordered=ordered, most=most))
    if len(pairs) == 500:
        assert abs(pairs.mean() - 29.5) < 3


def made_up(level, noise, seed, count=30, changes=3):
    """Embeddings of a model for which any two images have a cosine of about `level`."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(count, 1, 16))
    rows = own + noise * rng.normal(size=(count, 1 + changes, 16))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    shared = np.full((count, 1 + changes, 1), np.sqrt(level))
    rows = np.concatenate([rows * np.sqrt(1 - level), shared], axis=2).astype(np.float32)
    originals = tuple(Original(f"{n:02}.jpg", str(n), "") for n in range(count))
    matrix = rows.reshape(-1, 17)
    places = np.arange(len(matrix)).reshape(count, 1 + changes)
    return Versions(originals, CHANGES[:changes], places, matrix, [], None, {})


def test_a_raw_cosine_misleads_and_the_verdict_says_so(tiny, other_tiny):
    """One model puts everything at .98 and mixes it up, the other spreads and separates."""
    versions = {"tiny": made_up(0.98, 1.5, 0), "other-tiny": made_up(0.1, 0.3, 1)}
    asked = settings("modifications", changes=CHANGES[:3])
    results, _, _ = study_modifications(asked, versions)
    high, good = (results["models"][model] for model in TWO)
    assert high["overall"]["mean"] > 0.98 > good["overall"]["mean"] > 0.8
    assert high["baseline"]["mean"] > 0.97 and high["auc"] < 0.95 < 0.999 < good["auc"]
    assert by_mean(results) == list(TWO) and by_separation(results) == list(TWO[::-1])
    said = KINDS["modifications"].verdict(results)
    assert said.startswith("other-tiny separates best: AUC 1.000 [")
    assert "by mean similarity tiny would lead (0.98" in said and "random pairs lie at 0.98" in said
    assert "It is ahead of tiny by" in said and "p below 0.001" in said
    assert "The two rankings disagree" in said


def test_a_verdict_does_not_disagree_where_the_rankings_agree(tiny, other_tiny):
    versions = {"tiny": made_up(0.1, 0.3, 0), "other-tiny": made_up(0.1, 1.5, 1)}
    results, _, _ = study_modifications(settings("modifications", changes=CHANGES[:3]), versions)
    said = KINDS["modifications"].verdict(results)
    assert said.startswith("tiny separates best") and "leads by mean similarity too" in said
    assert "disagree" not in said
    alone = {"models": {"tiny": results["models"]["tiny"]}, "differences": []}
    assert KINDS["modifications"].verdict(alone).startswith("tiny separates with AUC 1.000")


# ── recovery ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", TWO)
def test_recovery_against_a_plain_loop(studied, other_tiny, model):
    run = studied.runs["recovery"]
    rows = embedded(studied.gallery, model, run.images, PROFILES)
    count = len(rows)
    assert count == 20
    found = run.results["models"][model]
    place = TWO.index(model)
    hits = {k: [] for k in (1, 3, 5)}
    for at in range(count):
        scores = [
            (-float(rows[at, 0] @ rows[i, v]), i, v)
            for i in range(count)
            for v in range(6)
            if (i, v) != (at, 0)
        ]
        first = sorted(scores)[:5]
        for k in hits:
            hits[k].append(sum(i == at for _, i, _ in first[:k]))
        recovered = {v - 1 for _, i, v in first if i == at}
        assert set(np.flatnonzero(run.arrays["recovered"][place, at])) == recovered
        assert run.arrays["found"][place, at].tolist() == [6 * i + v for _, i, v in first]
    for k, numbers in hits.items():
        one = found[str(k)]
        precision = np.array(numbers) / k
        recall = np.array(numbers) / 5
        f1 = [2 * p * r / (p + r) if p else 0 for p, r in zip(precision, recall, strict=True)]
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert one[name]["mean"] == pytest.approx(np.mean(values), abs=1e-6)
            assert one[name]["std"] == pytest.approx(np.std(values), abs=1e-6)
            assert one[name]["low"] <= one[name]["mean"] <= one[name]["high"]
    for at, change in enumerate(PROFILES):
        share = run.arrays["recovered"][place, :, at].mean()
        assert run.results["by_change"][model][change]["mean"] == pytest.approx(share, abs=1e-6)
    assert sum(run.results["by_count"][model]) == count
    assert run.results["chance"] == pytest.approx(5 / 119, abs=1e-6)


def test_the_ideal_of_recovery_is_that_of_the_source(studied):
    ideal = studied.runs["recovery"].results["ideal"]
    assert ideal["1"] == {"precision": 1, "recall": 0.2, "f1": pytest.approx(1 / 3, abs=1e-6)}
    assert ideal["3"] == {"precision": 1, "recall": 0.6, "f1": 0.75}
    assert ideal["5"] == {"precision": 1, "recall": 1, "f1": 1}


def test_what_the_index_loses_is_the_difference_of_both_searches(studied):
    run = studied.runs["recovery"]
    for model in TWO:
        index = run.results["index"][model]
        for k in ("1", "3", "5"):
            exact = run.results["models"][model][k]["precision"]["mean"]
            annoy = index["k"][k]["precision"]["mean"]
            assert index["loss"][k]["mean"] == pytest.approx(exact - annoy, abs=2e-6)
        assert 0.9 <= index["index_recall_at_10"] <= 1


def test_recovery_of_chosen_modifications(studied, other_tiny, monkeypatch):
    monkeypatch.setenv("AINA_HOME", str(studied.home))
    asked = settings(
        "recovery", changes=("mirrored", "b/w"), ks=(2,), models=("tiny",), originals=5
    )
    run = studies.run(asked)
    assert list(run.results["by_change"]["tiny"]) == ["mirrored", "b/w"]
    assert run.results["ideal"] == {"2": {"precision": 1, "recall": 1, "f1": 1}}
    studies.delete(run.id)


# ── labelled retrieval ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", TWO)
def test_retrieval_against_a_plain_loop(studied, model):
    run = studied.runs["retrieval"]
    vectors = studied.gallery.vectors(model)
    rows, ids = np.asarray(vectors.matrix, np.float64), vectors.ids
    labels = [image_id.split("/")[0] for image_id in ids]
    assert [image.id for image in run.images] == ids and run.results["queries"] == 40
    precision, average, r_precision, confusion = [], [], [], {}
    for at in range(40):
        order = sorted((i for i in range(40) if i != at), key=lambda i: (-rows[at] @ rows[i], i))
        same = [labels[i] == labels[at] for i in order]
        precision.append(sum(same[:5]) / 5)
        ranks = [r for r in range(1, 6) if same[r - 1]]
        average.append(np.mean([sum(same[:r]) / r for r in ranks]) if ranks else 0)
        r_precision.append(sum(same[:3]) / 3)
        for i in order[:5]:
            key = labels[at], labels[i]
            confusion[key] = confusion.get(key, 0) + 1
    one = run.results["models"][model]["5"]
    assert one["precision"]["mean"] == pytest.approx(np.mean(precision), abs=1e-6)
    assert one["recall"]["mean"] == pytest.approx(np.mean(precision) * 5 / 3, abs=1e-6)
    assert one["map"]["mean"] == pytest.approx(np.mean(average), abs=1e-6)
    assert run.results["r_precision"][model]["mean"] == pytest.approx(
        np.mean(r_precision), abs=1e-6
    )
    names = run.results["label_names"]
    triples = run.arrays[f"confusion_{TWO.index(model)}"].tolist()
    assert {(names[a], names[b]): n for a, b, n in triples} == confusion
    worst = run.results["confusion"][model][0]
    most = max((n for (a, b), n in confusion.items() if a != b))
    assert worst["count"] == most and worst["share"] == pytest.approx(most / 20)
    label = next(x for x in run.results["labels"][model] if x["label"] == "brick")
    mine = [p for p, name in zip(precision, labels, strict=True) if name == "brick"]
    assert label["precision"]["mean"] == pytest.approx(np.mean(mine), abs=1e-6)
    assert label["queries"] == 4


def test_retrieval_reports_costs_and_agreement_of_the_models(studied):
    results = studied.runs["retrieval"].results
    for model in TWO:
        cost = results["costs"][model]
        assert (cost["dim"], cost["bytes_per_vector"], cost["images"]) == (24, 96, 40)
        assert cost["images_per_second"] > 0
    (pair,) = results["agreement"]["pairs"]
    assert sum(pair["counts"]) == 40 and pair["models"] == list(TWO)
    mean = np.dot(pair["counts"], range(6)) / 40
    assert pair["shared"]["mean"] == pytest.approx(mean, abs=1e-6)
    assert pair["shared"]["low"] < mean < pair["shared"]["high"]
    assert 0 < pair["rbo"]["low"] < pair["rbo"]["high"] < 1
    assert results["chance"] == pytest.approx(3 / 39, abs=1e-6)


def test_images_without_a_label_or_with_one_of_their_own(gallery, embedder):
    ids = sorted(gallery.catalogue.images())
    labels = ["a", "a", "a", "b", "b", "c", *[""] * 6]
    notes = {key: Annotation(label) for key, label in zip(ids, labels, strict=True)}
    gallery.catalogue.annotate(notes.items())
    run = studies.run(studies.settle("retrieval", "mine", ("tiny",), ks=(1, 9)))
    found = run.results
    assert (found["images"], found["queries"], found["left_out"]) == (6, 5, 1)
    assert run.arrays["found"].shape == (1, 5, 5), "five others are all there are"
    assert found["models"]["tiny"]["9"]["recall"]["mean"] == 1
    assert found["models"]["tiny"]["9"]["precision"]["mean"] == pytest.approx(8 / 45, abs=1e-6)
    some = studies.run(studies.settle("retrieval", "mine", ("tiny",), originals=3))
    assert some.results["queries"] == 3 and set(some.arrays["queries"]) < set(range(5))
    gallery.catalogue.annotate({key: Annotation(key) for key in ids}.items())
    with pytest.raises(InputError, match="no two images of one label"):
        studies.run(studies.settle("retrieval", "mine", ("tiny",)))


def test_r_precision_breaks_ties_in_the_order_of_the_ids():
    from aina_core.studies.retrieval import _hits_among_first

    scores = np.array([0.5, 0.9, 0.5, -np.inf, 0.5], np.float32)
    relevant = np.array([True, False, False, True, True])
    assert [_hits_among_first(scores, relevant, n) for n in (1, 2, 3, 4)] == [0, 1, 1, 2]


def test_a_model_that_has_not_indexed_the_gallery(gallery, tiny, other_tiny):
    with pytest.raises(AinaError, match="is not indexed by other-tiny"):
        studies.run(studies.settle("retrieval", "mine", TWO))


# ── the store ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stored(gallery):
    """A study of two changes, in a home of its own."""
    return studies.run(studies.settle("recovery", "mine", ("tiny",), changes=("mirrored", "b/w")))


def test_a_study_is_stored_listed_opened_and_deleted(stored):
    (found,), damaged = studies.studies()
    assert not damaged and found.id == stored.id and found.settings == stored.settings
    assert found.verdict.startswith("tiny finds versions again: precision@5 ")
    assert found.versions["torch"] and found.models["tiny"]["weights"]
    assert found.gallery["generation"]["tiny"]
    again = studies.load(stored.id)
    assert again.results == stored.results and again.images == stored.images
    studies.delete(stored.id)
    assert studies.studies() == ([], {})
    with pytest.raises(AinaError, match="no stored study"):
        studies.load(stored.id)
    with pytest.raises(AinaError, match="no stored study"):
        studies.delete("../mine")


@pytest.mark.parametrize("file", ["results.json", "images.json", "arrays"])
def test_a_damaged_study_says_so_and_can_be_deleted(stored, file):
    folder = store.folder() / stored.id
    path = next((folder / "arrays").glob("*.npy")) if file == "arrays" else folder / file
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=f"{stored.id} is damaged"):
        studies.load(stored.id)
    studies.delete(stored.id)


def test_a_study_whose_record_is_damaged_is_listed_as_such(stored):
    for text in ("{", "{}", '{"format": 1, "created": "x"}', '{"format": 9}'):
        (store.folder() / stored.id / "run.json").write_text(text)
        found, damaged = studies.studies()
        assert not found and list(damaged) == [stored.id]
    with pytest.raises(DamagedError):
        studies.load(stored.id)


def test_a_study_that_cannot_be_written_leaves_nothing(stored, monkeypatch):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.arrays, "save", fails)
    with pytest.raises(OSError, match="No space"):
        studies.run(stored.settings)
    assert [path.name for path in store.folder().glob("*")] == [stored.id, ".work"] or {
        path.name for path in store.folder().glob("*")
    } == {stored.id, ".work"}


# ── published figures ────────────────────────────────────────────────────────────────────────────


def test_published_figures_belong_to_their_models():
    assert len(PUBLISHED) == 3 * 18 + 3 * 9 + 5
    (one,) = (
        p
        for p in published("recovery", ["efficientnet-lite0", "vgg16-pre-relu@fast"], PROFILES)
        if p["figure"] == "precision" and p["k"] == 3
    )
    assert (
        one["value"] == 0.989
        and one["ours"] == "vgg16-pre-relu@fast"
        and "Annoy" in one["protocol"]
    )
    clip = published("modifications", ["clip-vit-b-16"])
    assert {p["change"]: p["value"] for p in clip}["cropped/lowerright_quarter"] == 0.761
    assert published("modifications", ["efficientnet-lite0", "vgg16"]) == []
    assert published("recovery", ["vgg16"], PROFILES) == [], "theirs is before the ReLU"
    assert published("recovery", ["vgg16-pre-relu@native"], PROFILES) == []
    assert published("recovery", ["vgg16-pre-relu"], MODIFICATIONS) == []
    others = ["resnet50", "clip-vit-b-16-laion2b", "clip-vit-b-32", "vgg16-bn", "resnet18"]
    assert not any(published(kind, others) for kind in studies.KINDS), "other weights or features"
    for p in PUBLISHED:  # precision and recall are of the same hits
        if p.study == "recovery" and p.figure == "precision":
            (recall,) = (
                q.value
                for q in PUBLISHED
                if (q.study, q.model, q.figure, q.k) == ("recovery", p.model, "recall", p.k)
            )
            assert recall == pytest.approx(p.value * p.k / 5, abs=0.006)
