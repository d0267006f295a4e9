"""Every index keeps one contract; stored indexes are verified before they are used."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from aina_core.errors import DamagedError, GalleryError, InputError, UnknownNameError
from aina_core.index import KINDS, check_index, open_index
from aina_core.index.matmul import product, product_on

STORED = [kind for kind in KINDS if kind != "exact"]
DIM = 200


def unit_rows(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Rows around a few centres in few directions, as embeddings are: (count, dim) float32."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).normal(size=(40, dim)) * np.linspace(1, 0.1, 40)[:, None]
    rows = rng.normal(size=(count, 40)) @ basis + 0.05 * rng.normal(size=(count, dim)) + 0.3
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def plainly(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact neighbours by sorting everything, in float64."""
    near = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    rows = np.argsort(-near, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(near, rows, axis=1)


def need(kind: str) -> None:
    if kind == "hnsw":
        pytest.importorskip("usearch")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return request.param


@pytest.fixture(params=STORED)
def stored_kind(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return request.param


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit_rows(600)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return unit_rows(30, seed=1)


def test_finds_the_nearest(kind, vectors, queries, tmp_path):
    index = open_index(kind, vectors, tmp_path, checksum="a")
    rows, near = index.search(queries, 10)
    true_rows, true_near = plainly(vectors, queries, 10)
    assert rows.dtype == np.int64 and near.dtype == np.float32
    assert index.kind == kind and 0.99 <= index.recall_at_10 <= 1
    assert (near >= true_near[:, -1:] - 1e-6).mean() >= 0.97
    assert (np.diff(near, axis=1) <= 0).all()
    if kind == "exact":
        assert (rows == true_rows).all()
    np.testing.assert_allclose(
        near, np.einsum("qd,qkd->qk", queries, vectors[rows]), rtol=0, atol=1e-6
    )


def test_agrees_with_exact_to_the_last_bit(stored_kind, vectors, queries, tmp_path):
    index = open_index(stored_kind, vectors, tmp_path, checksum="a")
    everything = open_index("exact", vectors, tmp_path, checksum="a").search(queries, len(vectors))
    for found_rows, found_near, rows, near in zip(
        *index.search(queries, 20), *everything, strict=True
    ):
        expected = dict(zip(rows.tolist(), near.tolist(), strict=True))
        assert [expected[row] for row in found_rows.tolist()] == found_near.tolist()


def test_one_query_is_a_batch_of_one(kind, vectors, queries, tmp_path):
    index = open_index(kind, vectors, tmp_path, checksum="a")
    rows, near = index.search(queries, 5)
    for i in range(len(queries)):
        one_row, one_near = index.search(queries[i : i + 1], 5)
        assert (one_row[0] == rows[i]).all() and (one_near[0] == near[i]).all()
    assert [part.shape for part in index.search(queries[:0], 5)] == [(0, 5), (0, 5)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 201])
def test_tiny_galleries(kind, count, queries, tmp_path):
    vectors = unit_rows(count)
    for _ in range(2):  # built, then opened
        index = open_index(kind, vectors, tmp_path, checksum="a", rebuild=True)
        rows, near = index.search(queries, 7)
        assert rows.shape == near.shape == (len(queries), min(7, count))
        np.testing.assert_allclose(near, plainly(vectors, queries, 7)[1], rtol=0, atol=1e-6)
    assert check_index(kind, vectors.shape, tmp_path, checksum="a") is None


def test_asking_for_more_than_there_is(kind, vectors, queries, tmp_path):
    rows, _ = open_index(kind, vectors, tmp_path, checksum="a").search(queries[:2], 10**6)
    assert (np.sort(rows, axis=1) == np.arange(len(vectors))).all()


@pytest.mark.parametrize("share", [0, 0.001, 0.05, 0.6, 1])
def test_masks(kind, share, vectors, queries, tmp_path):
    allowed = np.random.default_rng(0).random(len(vectors)) < share
    index = open_index(kind, vectors, tmp_path, checksum="a")
    rows, near = index.search(queries, 10, allowed=allowed)
    assert rows.shape == (len(queries), min(10, allowed.sum()))
    assert allowed[rows].all()
    if rows.size:
        true_near = plainly(vectors[allowed], queries, 10)[1]
        assert (near >= true_near[:, -1:] - 1e-6).mean() >= 0.97


def test_equal_rows_come_in_order_and_are_no_misses(kind, tmp_path):
    vectors = np.repeat(unit_rows(50), 12, axis=0)
    queries = vectors[::12] + 0.3 * unit_rows(50, seed=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    index = open_index(kind, vectors, tmp_path, checksum="a")
    rows, near = index.search(queries, 10)
    assert index.recall_at_10 == 1
    assert (near == near[:, :1]).all() and (np.diff(rows, axis=1) > 0).all()
    np.testing.assert_allclose(near, plainly(vectors, queries, 10)[1], rtol=0, atol=1e-6)


def test_rows_that_nothing_can_reduce_are_found_all_the_same(stored_kind, tmp_path):
    noise = np.random.default_rng(0).normal(size=(600, DIM))
    noise = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)
    index = open_index(stored_kind, noise, tmp_path, checksum="a")
    assert index.recall_at_10 >= 0.99
    near = index.search(noise[:30], 10)[1]
    assert (near >= plainly(noise, noise[:30], 10)[1][:, -1:] - 1e-6).mean() >= 0.97


def test_vectors_may_be_a_memory_map(kind, vectors, queries, tmp_path):
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    expected = open_index(kind, vectors, tmp_path / "a", checksum="a").search(queries, 10)
    found = open_index(kind, mapped, tmp_path / "b", checksum="a").search(queries, 10)
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


def test_refuses_what_is_no_query(kind, vectors, queries, tmp_path):
    index = open_index(kind, vectors, tmp_path, checksum="a")
    spoiled = queries.copy()
    spoiled[3, 5] = np.nan
    endless = np.full_like(queries, np.inf)
    bad_queries = (spoiled, endless, queries * 2, queries[:, :-1], queries[0], queries.astype(int))
    for bad in bad_queries:
        with pytest.raises(InputError):
            index.search(bad, 10)
    with pytest.raises(InputError, match="at least 1"):
        index.search(queries, 0)
    for mask in (np.ones(3, bool), np.ones(len(vectors), int)):
        with pytest.raises(InputError, match="mask"):
            index.search(queries, 10, allowed=mask)


def test_unknown_kind(vectors, tmp_path):
    with pytest.raises(UnknownNameError, match="annoy, exact, hnsw"):
        open_index("faiss", vectors, tmp_path, checksum="a")


def test_a_missing_library_is_named_with_its_command(vectors, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install usearch$"):
        open_index("hnsw", vectors, tmp_path, checksum="a")


def test_two_builds_are_byte_identical(stored_kind, vectors, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        open_index(stored_kind, vectors, folder, checksum="a")
    assert (tmp_path / "a" / f"{stored_kind}.index").stat().st_size > 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_recall_and_candidates_are_stored(stored_kind, vectors, tmp_path):
    phases = []
    built = open_index(
        stored_kind, vectors, tmp_path, checksum="a", progress=lambda *report: phases.append(report)
    )
    assert {phase for phase, _, _ in phases} == {"axes", "rows", "recall"}
    assert all(0 <= done <= total for _, done, total in phases)
    manifest = json.loads((tmp_path / f"{stored_kind}.json").read_bytes())
    opened = open_index(stored_kind, vectors, tmp_path, checksum="a", rebuild=False)
    assert opened.recall_at_10 == built.recall_at_10 == manifest["recall_at_10"]
    assert manifest["candidates"] >= 40
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{stored_kind}.axes.npy",
        f"{stored_kind}.index",
        f"{stored_kind}.json",
    ]


def test_more_effort_finds_more_for_queries_unlike_the_gallery(stored_kind, vectors, tmp_path):
    index = open_index(stored_kind, vectors, tmp_path, checksum="a")
    strange = np.random.default_rng(7).standard_normal((50, vectors.shape[1])).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    truth = open_index("exact", vectors, tmp_path, checksum="a").search(strange, 10)[0]
    shares = []
    for effort in (1, 4):
        rows = index.search(strange, 10, effort=effort)[0]
        shares.append(
            np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, truth, strict=True)])
        )
    assert shares[1] >= shares[0]
    assert shares[1] > 0.9


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).choice(len(data), 200, replace=False):
        data[place] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def cut_at_a_node(path: Path) -> None:
    """An Annoy node is its count of descendants, two words and the vector: 4 + 8 + 4 * 96."""
    node = 396
    assert path.stat().st_size % node == 0
    cut(path, path.stat().st_size // 2 // node * node)


def edit_manifest(folder: Path, kind: str, **changes: object) -> None:
    path = folder / f"{kind}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


DAMAGES: dict[str, Callable[[Path, str], object]] = {
    "half a file": lambda folder, kind: cut(folder / f"{kind}.index", 100_001),
    "empty": lambda folder, kind: cut(folder / f"{kind}.index", 0),
    "flipped bytes": lambda folder, kind: flip(folder / f"{kind}.index"),
    "foreign file": lambda folder, kind: (folder / f"{kind}.index").write_bytes(b"GIF89a" * 99),
    "lost file": lambda folder, kind: (folder / f"{kind}.index").unlink(),
    "flipped axes": lambda folder, kind: flip(folder / f"{kind}.axes.npy"),
    "broken manifest": lambda folder, kind: cut(folder / f"{kind}.json", 40),
    "manifest of a list": lambda folder, kind: (folder / f"{kind}.json").write_text("[]"),
    "other vectors": lambda folder, kind: edit_manifest(folder, kind, checksum="b"),
    "other count": lambda folder, kind: edit_manifest(folder, kind, count=5),
    "other version": lambda folder, kind: edit_manifest(folder, kind, versions={}),
    "other files": lambda folder, kind: edit_manifest(folder, kind, files={"../x": {}}),
    "undescribed file": lambda folder, kind: edit_manifest(
        folder, kind, files={f"{kind}.index": 1, f"{kind}.axes.npy": 2}
    ),
    "nothing measured": lambda folder, kind: edit_manifest(folder, kind, candidates="many"),
}


@pytest.fixture(scope="module")
def pristine(vectors, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """The files of an index of each kind, built once."""
    built: dict[str, dict[str, bytes]] = {}

    def files(kind: str) -> dict[str, bytes]:
        if kind not in built:
            folder = tmp_path_factory.mktemp(kind)
            open_index(kind, vectors, folder, checksum="a")
            built[kind] = {path.name: path.read_bytes() for path in folder.iterdir()}
        return built[kind]

    return files


def assert_mended(kind: str, vectors: np.ndarray, queries: np.ndarray, folder: Path) -> None:
    """A damaged index is named, refused where it may not be rebuilt, and else rebuilt."""
    problem = check_index(kind, vectors.shape, folder, checksum="a")
    assert problem is not None and problem.endswith(".") and kind in problem
    with pytest.raises(DamagedError, match="build it again"):
        open_index(kind, vectors, folder, checksum="a", rebuild=False)
    near = open_index(kind, vectors, folder, checksum="a").search(queries, 10)[1]
    assert (near >= plainly(vectors, queries, 10)[1][:, -1:] - 1e-6).mean() >= 0.97
    assert check_index(kind, vectors.shape, folder, checksum="a") is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_mended(damage, stored_kind, vectors, queries, pristine, tmp_path):
    for name, data in pristine(stored_kind).items():
        (tmp_path / name).write_bytes(data)
    assert check_index(stored_kind, vectors.shape, tmp_path, checksum="a") is None
    DAMAGES[damage](tmp_path, stored_kind)
    assert_mended(stored_kind, vectors, queries, tmp_path)


def test_a_forest_cut_at_a_node_is_named_and_mended(vectors, queries, pristine, tmp_path):
    for name, data in pristine("annoy").items():
        (tmp_path / name).write_bytes(data)
    cut_at_a_node(tmp_path / "annoy.index")
    assert_mended("annoy", vectors, queries, tmp_path)


def test_a_graph_of_the_library_before_is_built_again(vectors, queries, pristine, tmp_path):
    need("hnsw")
    for name, data in pristine("hnsw").items():
        (tmp_path / name).write_bytes(data)
    edit_manifest(tmp_path, "hnsw", versions={"hnswlib": "0.8.0"})
    (tmp_path / "hnsw.index").write_bytes(b"not of usearch")
    assert_mended("hnsw", vectors, queries, tmp_path)


def test_an_index_can_be_searched_by_several_threads(stored_kind, vectors, queries, tmp_path):
    index = open_index(stored_kind, vectors, tmp_path, checksum="a")
    rows, near = index.search(queries, 10)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: index.search(queries, 10), range(40)))
    assert all((one == rows).all() and (other == near).all() for one, other in found)


def test_an_index_serves_only_the_vectors_it_was_built_of(stored_kind, queries, tmp_path):
    old, new = unit_rows(400, seed=2), unit_rows(400, seed=3)
    open_index(stored_kind, old, tmp_path, checksum="old")
    assert "'old'" in (check_index(stored_kind, new.shape, tmp_path, checksum="new") or "")
    near = open_index(stored_kind, new, tmp_path, checksum="new").search(queries, 3)[1]
    np.testing.assert_allclose(near[:, 0], plainly(new, queries, 1)[1][:, 0], rtol=0, atol=1e-6)


def test_nothing_stored_is_no_problem_but_cannot_be_opened(stored_kind, vectors, tmp_path):
    assert check_index(stored_kind, vectors.shape, tmp_path, checksum="a") is None
    with pytest.raises(DamagedError, match="missing"):
        open_index(stored_kind, vectors, tmp_path, checksum="a", rebuild=False)


def test_a_build_that_is_stopped_leaves_the_old_index(vectors, queries, pristine, tmp_path):
    for name, data in pristine("annoy").items():
        (tmp_path / name).write_bytes(data)

    def stop(phase: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_index("annoy", vectors, tmp_path, checksum="other", progress=stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == pristine("annoy")


def test_a_folder_that_cannot_be_written_to(vectors, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GalleryError, match="cannot be written"):
        open_index("annoy", vectors, tmp_path / "file" / "index", checksum="a")


def test_product_is_the_same_on_a_device(vectors, queries):
    expected = queries.astype(np.float64) @ vectors.T
    np.testing.assert_allclose(product(queries, vectors), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(product_on("cpu", queries, vectors), expected, rtol=0, atol=1e-6)


def test_importing_it_is_light():
    code = "import sys, aina_core.index; print({'torch', 'annoy', 'usearch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
