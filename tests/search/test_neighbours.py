"""The neighbour graph: exact, stored once, verified when it is opened."""

import numpy as np
import pytest

from aina_core.errors import GalleryError, InputError, StoppedError
from aina_core.gallery import Gallery
from aina_core.index.principal import principal_axes
from aina_core.search import neighbours as graphs
from aina_core.search.neighbours import Graph, compute, graph_of
from benchmarks.synthetic import clusters, gallery_of

VECTORS, _ = clusters(400, 30, groups=6)


@pytest.fixture
def gallery(home) -> Gallery:
    return gallery_of("mine", "tiny", VECTORS)


def same(first: Graph, second: Graph) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(second).values()))  # noqa: B905


def open_graph(gallery, model: str, **given) -> Graph:
    return graph_of(gallery.vectors(model), gallery.store(model).folder, **given)


def expect_nearest(graph: Graph, all_similarities: np.ndarray) -> None:
    """Compare a graph with the sorted similarities (n, n) of all rows, the row itself left out."""
    count, k = graph.neighbours.shape
    assert graph.neighbours.dtype == np.int32 and graph.similarities.dtype == np.float32
    for row in range(count):
        others = np.delete(all_similarities[row], row)
        near = graph.neighbours[row]
        assert row not in near and len(set(near.tolist())) == k
        np.testing.assert_allclose(graph.similarities[row], np.sort(others)[::-1][:k], atol=2e-6)
        np.testing.assert_allclose(graph.similarities[row], all_similarities[row][near], atol=2e-6)
        assert (np.diff(graph.similarities[row]) <= 0).all()


def test_has_the_nearest_of_every_row(gallery):
    graph = open_graph(gallery, "tiny")
    assert (graph.rows == np.arange(400)).all()
    assert graph.neighbours.shape == (400, graphs.MOST_NEIGHBOURS)
    expect_nearest(graph, VECTORS.astype(float) @ VECTORS.T.astype(float))


def test_with_components_it_is_of_the_reduced_vectors():
    graph = compute(VECTORS, components=3)
    reduced = principal_axes(VECTORS, 3).reduce(VECTORS).astype(float)
    distances = np.linalg.norm(reduced[:, None] - reduced, axis=2)
    expect_nearest(graph, 1 - distances**2 / 2)
    full = compute(VECTORS, components=30)  # all of them: only turned
    expect_nearest(full, VECTORS.astype(float) @ VECTORS.T.astype(float))


@pytest.mark.parametrize("components", [0, 5])
def test_is_computed_once(gallery, components, monkeypatch):
    first = open_graph(gallery, "tiny", components=components)
    monkeypatch.setattr(graphs, "compute", None)
    assert same(open_graph(gallery, "tiny", components=components), first)


def test_is_computed_again_when_the_vectors_change(gallery):
    open_graph(gallery, "tiny")
    other, _ = clusters(300, 30, seed=1)
    changed = gallery_of("mine", "tiny", other)
    assert same(open_graph(changed, "tiny"), compute(other))


@pytest.mark.parametrize("name", ["neighbours", "similarities", "rows", "manifest"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "empty"])
def test_a_damaged_one_is_computed_again(gallery, name, damage):
    first = open_graph(gallery, "tiny")
    (path,) = (gallery.store("tiny").folder / "graph" / "full").glob(f"{name}*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    changed = {"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}
    path.unlink() if damage == "delete" else path.write_bytes(changed[damage])
    assert same(open_graph(gallery, "tiny"), first)
    if name != "manifest":  # else nothing says which files were its own
        assert len(list(path.parent.iterdir())) == 4


def test_stopped_it_stores_nothing_and_begins_again(gallery, monkeypatch):
    monkeypatch.setattr(graphs, "_BLOCK_BYTES", 4 * 400 * 100)
    asked = iter([False, False, True])
    with pytest.raises(StoppedError):
        open_graph(gallery, "tiny", stop=lambda: next(asked))
    assert not (gallery.store("tiny").folder / "graph").exists()
    told = []
    open_graph(gallery, "tiny", progress=lambda *report: told.append(report))
    assert told[0] == ("neighbours", 0, 400) and told[-1] == ("neighbours", 400, 400)
    assert len(told) == 5


def test_above_the_bound_it_covers_a_sample(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_ROWS", 250)
    graph, again = compute(VECTORS), compute(VECTORS)
    assert same(graph, again)
    assert len(graph.rows) == 250 and (np.diff(graph.rows) > 0).all() and graph.rows[-1] < 400
    rows = VECTORS[graph.rows].astype(float)
    expect_nearest(graph, rows @ rows.T)


@pytest.mark.parametrize("count", [1, 2, 3, 150, 151, 152])
def test_small_galleries(count):
    graph = compute(VECTORS[:count])
    assert graph.neighbours.shape == (count, min(150, count - 1))
    expect_nearest(graph, VECTORS[:count].astype(float) @ VECTORS[:count].T.astype(float))


def test_equal_rows_are_each_others_neighbours_and_not_their_own():
    graph = compute(np.repeat(VECTORS[:1], 200, axis=0))
    assert graph.neighbours.shape == (200, 150)
    assert (graph.neighbours != np.arange(200)[:, None]).all()
    np.testing.assert_allclose(graph.similarities, 1, atol=1e-6)


def test_what_cannot_be(home):
    empty = gallery_of("empty", "tiny", VECTORS[:0])
    with pytest.raises(InputError, match="empty"):
        open_graph(empty, "tiny")
    with pytest.raises(GalleryError, match="not indexed by resnet"):
        open_graph(empty, "resnet")
