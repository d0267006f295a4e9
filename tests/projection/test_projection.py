"""Every method of projection keeps one contract; what is stored is verified before it is used."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from aina_core.errors import GalleryError, InputError, StoppedError, UnknownNameError
from aina_core.gallery import Gallery
from aina_core.projection import (
    METHODS,
    Projection,
    Settings,
    fitting,
    project,
    quality,
    stored,
    umap_layout,
)
from aina_core.projection.quality import Quality, measure
from aina_core.search import neighbours as graphs
from benchmarks.synthetic import clusters, gallery_of
from tests.support.process import ROOT

COUNT, DIM = 300, 24
VECTORS, GROUPS = clusters(COUNT, DIM, groups=5)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("projections")


@pytest.fixture
def shared(shared_home, monkeypatch) -> Gallery:
    """A gallery with its projections, computed when a test first asks; not to be damaged."""
    monkeypatch.setenv("AINA_HOME", str(shared_home))
    if not (shared_home / "mine").exists():
        gallery_of("mine", "tiny", VECTORS)
    return Gallery(shared_home / "mine")


@pytest.fixture
def gallery(home) -> Gallery:
    return gallery_of("mine", "tiny", VECTORS)


def same(first: Projection, second: Projection) -> bool:
    """Whether all that can be compared is equal; seconds are those of the first computation."""
    attributes = set(Projection.__dataclass_fields__) - {"coordinates", "_parts", "_matrix"}
    return np.array_equal(first.coordinates, second.coordinates) and all(
        getattr(first, name) == getattr(second, name) for name in attributes
    )


def separation(coordinates: np.ndarray, groups: np.ndarray) -> float:
    """The share of points whose nearest point is of their own group."""
    distances = np.linalg.norm(coordinates[:, None] - coordinates, axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((groups[distances.argmin(axis=1)] == groups).mean())


@pytest.mark.parametrize("dims", [2, 3])
def test_gives_every_image_its_point(shared, method, dims):
    settings = Settings(method, dims=dims)
    told = []
    made = project(shared, "tiny", settings, progress=lambda *report: told.append(report))
    assert made.settings == settings and made.ids == shared.vectors("tiny").ids
    assert made.coordinates.shape == (COUNT, dims) and made.coordinates.dtype == np.float32
    assert np.isfinite(made.coordinates).all() and not made.coordinates.flags.writeable
    assert (made.coordinates.std(axis=0) > 0).all()
    assert made.fitted == made.sample == COUNT and made.k == 10 and made.seconds > 0
    assert separation(made.coordinates, GROUPS) > (0.9 if method != "pca" else 0.5)
    assert told[-1] == ("measuring", COUNT, COUNT)
    assert {"umap": "umap", "tsne": "t-SNE", "pca": "axes"}[method] in {phase for phase, *_ in told}
    assert all(0 <= done <= total for _, done, total in told)
    measured = measure(VECTORS, made.coordinates)
    assert made.trustworthiness == measured.trustworthiness
    assert made.preservation == measured.preservation


@pytest.mark.parametrize("dims", [2, 3])
def test_is_opened_at_once_the_next_time(shared, method, dims, monkeypatch):
    settings = Settings(method, dims=dims)
    made = project(shared, "tiny", settings)
    monkeypatch.setattr(fitting, "graph_of", None)
    monkeypatch.setattr(fitting, "principal_axes", None)
    told = []
    again = project(shared, "tiny", settings, progress=lambda *report: told.append(report))
    assert same(again, made) and not told
    assert same(stored(shared, "tiny", settings), made)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> dict[str, str]:
    """The checksum of every method's projection from another process on one core, each of a gallery
    of its own."""
    code = (
        "import json, os\n"
        "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "import numpy as np\n"
        "from benchmarks.synthetic import clusters, gallery_of\n"
        "from aina_core.projection import METHODS, Settings, project\n"
        f"vectors, made = clusters({COUNT}, {DIM}, groups=5)[0], {{}}\n"
        "for dims in (3, 2):\n"
        "    for method in METHODS:\n"
        "        key = f'{method}-{dims}'\n"
        "        gallery = gallery_of(key, 'tiny', vectors)\n"
        "        made[key] = project(gallery, 'tiny', Settings(method, dims=dims)).checksum\n"
        "print(json.dumps(made))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "AINA_HOME": str(tmp_path_factory.mktemp("elsewhere"))},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_same_seed_gives_the_same_in_another_process_on_one_core(
    shared, method, dims, elsewhere
):
    """Neither the number of threads nor what ran before changes a coordinate."""
    made = project(shared, "tiny", Settings(method, dims=dims))
    assert elsewhere[f"{method}-{dims}"] == made.checksum


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_another_seed_gives_another(shared, method):
    first, second = (project(shared, "tiny", Settings(method, seed=seed)) for seed in (0, 1))
    assert first.checksum != second.checksum
    assert not np.allclose(first.coordinates, second.coordinates)


@pytest.mark.parametrize(
    "settings",
    [
        Settings("umap", neighbours=5),
        Settings("umap", min_dist=0.5),
        Settings("umap", components=4),
        Settings("tsne", perplexity=5.0),
        Settings("tsne", components=4),
        Settings("tsne", components=100),
    ],
    ids=Settings.key,
)
def test_parameters_change_the_result(shared, settings):
    made = project(shared, "tiny", settings)
    assert np.isfinite(made.coordinates).all()
    assert not np.allclose(
        made.coordinates, project(shared, "tiny", Settings(settings.method)).coordinates
    )
    assert separation(made.coordinates, GROUPS) > 0.9
    assert np.isfinite(made.place(VECTORS[:3])).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_places_a_duplicate_where_its_original_is(shared, method, dims):
    made = project(shared, "tiny", Settings(method, dims=dims))
    before = made.coordinates.copy()
    placed = made.place(VECTORS)
    assert placed.shape == (COUNT, dims) and placed.dtype == np.float32
    np.testing.assert_allclose(placed, made.coordinates, atol=1e-4 * np.abs(before).max())
    assert (made.coordinates == before).all()
    for row in (0, 7):  # one is a batch of one
        np.testing.assert_allclose(made.place(VECTORS[row][None])[0], placed[row], atol=1e-4)
    assert made.place(VECTORS[:0]).shape == (0, dims)


def test_places_what_was_held_out_in_its_group(shared, method):
    made = project(shared, "tiny", Settings(method, dims=3))
    rng = np.random.default_rng(0)
    mixed = VECTORS[:-1] + 0.3 * VECTORS[1:] * (GROUPS[:-1] == GROUPS[1:])[:, None]
    chosen = rng.choice(len(mixed), 100, replace=False)
    queries = mixed[chosen] / np.linalg.norm(mixed[chosen], axis=1, keepdims=True)
    placed = made.place(queries.astype(np.float32))
    nearest = np.linalg.norm(placed[:, None] - made.coordinates, axis=2).argmin(axis=1)
    assert (GROUPS[nearest] == GROUPS[:-1][chosen]).mean() > (0.95 if method != "pca" else 0.5)
    again = stored(shared, "tiny", made.settings)
    assert (again.place(queries.astype(np.float32)) == placed).all()


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (VECTORS[0], "shape"),
        (VECTORS[:, :5], "24"),
        (VECTORS[:2] * 2, "unit length"),
        (VECTORS[:2] * np.nan, "finite"),
        (np.ones((1, DIM), int), "type"),
    ],
)
def test_refuses_to_place_what_no_model_gave(shared, vectors, said):
    made = project(shared, "tiny", Settings("pca"))
    with pytest.raises(InputError, match=said):
        made.place(vectors)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("equal", [False, True], ids=["different", "equal"])
def test_tiny_galleries(home, method, dims, count, equal):
    vectors = np.repeat(VECTORS[:1], count, axis=0) if equal else VECTORS[:count]
    gallery = gallery_of("few", "tiny", vectors)
    for components in (0, 3):
        made = project(gallery, "tiny", Settings(method, dims=dims, components=components))
        assert made.coordinates.shape == (count, dims) and np.isfinite(made.coordinates).all()
        assert 0 <= made.trustworthiness <= 1 and 0 <= made.preservation <= 1
        assert made.sample == count and made.k == min(10, (count - 1) // 2)
        placed = made.place(VECTORS[20:23])
        assert placed.shape == (3, dims) and np.isfinite(placed).all()


def test_vectors_shorter_than_the_map(home, method):
    short = np.array([[np.cos(t), np.sin(t)] for t in np.linspace(0, 3, 30)], np.float32)
    made = project(gallery_of("short", "tiny", short), "tiny", Settings(method, dims=3))
    assert made.coordinates.shape == (30, 3) and np.isfinite(made.coordinates).all()
    assert np.isfinite(made.place(short[:2])).all()


def test_an_empty_gallery_has_no_projection(home, method):
    with pytest.raises(InputError, match="empty"):
        project(gallery_of("none", "tiny", VECTORS[:0]), "tiny", Settings(method))


def test_a_model_that_the_gallery_is_not_indexed_by(gallery):
    for ask in (project, stored):
        with pytest.raises(GalleryError, match="not indexed by resnet"):
            ask(gallery, "resnet", Settings("pca"))


def test_nothing_is_stored_before_it_is_computed(gallery, method):
    assert stored(gallery, "tiny", Settings(method)) is None


@pytest.mark.parametrize("name", ["coordinates", "rows", "mean", "directions", "manifest"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_damage_is_found_and_mended(gallery, name, damage):
    settings = Settings("pca")
    made = project(gallery, "tiny", settings)
    folder = gallery.store("tiny").folder / "projections" / settings.key()
    (path,) = folder.glob(f"{name}*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink() if damage == "delete" else path.write_bytes(
        data if damage == "flip" else data[:-9]
    )
    found = stored(gallery, "tiny", settings)
    assert found is None
    mended = project(gallery, "tiny", settings)
    assert mended.checksum == made.checksum and same(stored(gallery, "tiny", settings), mended)


def test_other_vectors_have_another_projection(gallery):
    made = project(gallery, "tiny", Settings("pca"))
    gallery_of("mine", "tiny", clusters(200, DIM, seed=3)[0])
    assert stored(gallery, "tiny", Settings("pca")) is None
    other = project(gallery, "tiny", Settings("pca"))
    assert len(other.coordinates) == 200 and other.checksum != made.checksum


@pytest.mark.parametrize("phase", ["neighbours", "umap", "t-SNE", "placing", "measuring"])
def test_stopped_it_stores_nothing(gallery, phase, monkeypatch):
    """Stopped as soon as a phase is told of, there is no projection."""
    monkeypatch.setattr(graphs, "_BLOCK_BYTES", 1 << 17)
    monkeypatch.setattr(quality, "_BLOCK_ROWS", 100)
    method = {"umap": "umap", "placing": "pca", "measuring": "pca"}.get(phase, "tsne")
    seen = []
    with pytest.raises(StoppedError, match="stored"):
        project(
            gallery,
            "tiny",
            Settings(method),
            progress=lambda name, *_: seen.append(name),
            stop=lambda: phase in seen,
        )
    folder = gallery.store("tiny").folder / "projections"
    assert not folder.exists() and stored(gallery, "tiny", Settings(method)) is None


def test_above_the_bound_the_rest_are_placed(home, method, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_ROWS", 200)
    monkeypatch.setattr(fitting, "_PLACED_AT_ONCE", 64)
    made = project(gallery_of("many", "tiny", VECTORS), "tiny", Settings(method))
    assert made.fitted == (200 if method != "pca" else COUNT)
    assert np.isfinite(made.coordinates).all()
    assert separation(made.coordinates, GROUPS) > (0.9 if method != "pca" else 0.5)


def test_the_graph_is_shared(gallery, monkeypatch):
    project(gallery, "tiny", Settings("umap"))
    monkeypatch.setattr(graphs, "compute", None)
    project(gallery, "tiny", Settings("umap", neighbours=30))
    with pytest.raises(TypeError):
        project(gallery, "tiny", Settings("umap", components=3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"dims": 1},
        {"dims": 4},
        {"dims": 2.0},
        {"dims": True},
        {"seed": -1},
        {"seed": 2**32},
        {"components": -1},
        {"neighbours": 1},
        {"neighbours": 151},
        {"min_dist": -0.1},
        {"min_dist": float("nan")},
        {"perplexity": 0.5},
        {"perplexity": 51.0},
        {"perplexity": "30"},
    ],
    ids=str,
)
def test_settings_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=name):
        Settings(**wrong)


def test_an_unknown_method():
    with pytest.raises(UnknownNameError, match="pca, tsne, umap"):
        Settings("mds")


def test_a_key_tells_results_apart():
    assert Settings("pca", components=5, perplexity=7).key() == Settings("pca").key()
    assert Settings("umap", perplexity=7).key() == Settings("umap").key()
    assert Settings("umap", min_dist=0).key() == Settings("umap", min_dist=0.0).key()
    keys = {
        Settings(method, dims=dims, seed=seed, components=components).key()
        for method in METHODS
        for dims in (2, 3)
        for seed in (0, 1)
        for components in (0, 50)
    }
    assert len(keys) == 8 + 8 + 4
    near = {Settings("umap", min_dist=value).key() for value in (0.1, 0.1 + 1e-9, 0.1000001)}
    assert len(near) == 3
    assert all(json.dumps(key) == f'"{key}"' and "/" not in key for key in keys | near)


def plain_quality(vectors: np.ndarray, points: np.ndarray, k: int) -> tuple[float, float]:
    """Trustworthiness and preservation by their definition, one row after the other."""
    count = len(vectors)
    excess = kept = 0
    for i in range(count):
        others = [j for j in range(count) if j != i]
        by_model = sorted(others, key=lambda j: -float(vectors[i].astype(float) @ vectors[j]))
        on_map = sorted(others, key=lambda j: float(np.linalg.norm(points[i] - points[j])))[:k]
        ranks = [by_model.index(j) + 1 for j in on_map]
        excess += sum(max(0, rank - k) for rank in ranks)
        kept += sum(rank <= k for rank in ranks)
    return 1 - 2 * excess / (count * k * (2 * count - 3 * k - 1)), kept / (count * k)


@pytest.mark.parametrize("count", [12, 40, 120])
def test_quality_is_what_its_formula_says(count):
    points = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    points[: count // 2] = VECTORS[: count // 2, :2]
    found = measure(VECTORS[:count], points)
    expected = plain_quality(VECTORS[:count], points, found.k)
    np.testing.assert_allclose((found.trustworthiness, found.preservation), expected, atol=1e-9)
    from sklearn.manifold import trustworthiness

    assert found.trustworthiness == pytest.approx(
        trustworthiness(VECTORS[:count], points, n_neighbors=found.k, metric="cosine"), abs=1e-6
    )


def test_quality_of_a_perfect_map_and_of_equal_vectors():
    angles = np.linspace(0, 3, 50)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert measure(circle, circle) == Quality(1.0, 1.0, 50, 10)
    equal = np.repeat(circle[:1], 50, axis=0)
    assert measure(equal, circle) == Quality(1.0, 1.0, 50, 10)
    assert measure(circle, equal).trustworthiness < 0.9


def test_quality_of_many_is_measured_on_a_sample():
    vectors, _ = clusters(6000, 8)
    found = measure(vectors, vectors[:, :2])
    assert found.sample == 5000
    assert found == measure(vectors, vectors[:, :2])


def test_memberships_sum_to_the_logarithm_of_their_number():
    graph = graphs.compute(VECTORS)
    near, similar = graph.neighbours[:, :14], graph.similarities[:, :14]
    distances = np.sqrt(np.maximum(2 - 2 * similar.astype(float), 0))
    beyond = distances - distances[:, :1]
    widths = umap_layout._widths(beyond, np.log2(15))
    np.testing.assert_allclose(
        np.exp(-beyond / widths[:, None]).sum(axis=1), np.log2(15), rtol=1e-6
    )
    indptr, columns, weights = umap_layout.memberships(near, similar, 200)
    united = np.zeros((COUNT, COUNT))
    for row in range(COUNT):
        span = slice(indptr[row], indptr[row + 1])
        united[row, columns[span]] = weights[span]
    assert (united == united.T).all() and (united >= 0).all() and (united <= 1 + 1e-6).all()
    local = np.zeros((COUNT, COUNT))
    np.put_along_axis(local, near.astype(int), np.exp(-beyond / widths[:, None]), axis=1)
    expected = local + local.T - local * local.T
    np.testing.assert_allclose(united, np.where(expected < 1 / 200, united, expected), atol=1e-5)


@pytest.mark.slow  # importing umap-learn compiles for half a minute
def test_memberships_are_those_of_umap_learn():
    from scipy.sparse import csr_matrix
    from umap.umap_ import fuzzy_simplicial_set

    graph = graphs.compute(VECTORS)
    near, similar = graph.neighbours[:, :14], graph.similarities[:, :14]
    found = umap_layout.memberships(near, similar, 10**6)
    ours = csr_matrix((found[2], found[1], found[0]), shape=(COUNT, COUNT)).toarray()
    own = np.arange(COUNT)[:, None]  # umap-learn counts the image itself
    distances = np.sqrt(np.maximum(2 - 2 * similar, 0))
    theirs = fuzzy_simplicial_set(
        VECTORS,
        n_neighbors=15,
        random_state=None,
        metric="cosine",
        knn_indices=np.hstack([own, near]),
        knn_dists=np.hstack([np.zeros_like(own, np.float32), distances.astype(np.float32)]),
    )[0].toarray()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("min_dist", [0.0, 0.1, 1.0])
def test_the_curve_follows_min_dist(min_dist):
    a, b = umap_layout.curve(min_dist)
    x = np.linspace(0, 3, 100)
    wanted = np.where(x < min_dist, 1, np.exp(min_dist - x))
    assert np.abs(1 / (1 + a * x ** (2 * b)) - wanted).max() < 0.12
