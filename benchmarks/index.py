"""How fast is a neighbour search that misses less than one neighbour in a hundred?

    python -m aina_core demo --stamps
    python -m benchmarks.index [--gallery stamps] [--cache FOLDER]

Indexes 20,000 embeddings of crops of a gallery's images (efficientnet-lite0) and asks for the ten
nearest of 1,000 further crops. Plain Annoy and plain usearch hold the full embeddings, and are
given more effort until their index recall@10 on those queries is at least .99; AINA's own indexes
choose theirs when they are built, from the gallery alone. All searches run on one thread, in turns,
and the median of the rounds counts. Needs annoy, faiss-cpu, usearch and threadpoolctl.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from aina_core import demo, images
from aina_core.embedding import load_embedder
from aina_core.gallery import open_gallery
from aina_core.index import open_index

GALLERY, QUERIES, STRANGE, SEED = 20_000, 1_000, 400, 0
MODEL = "efficientnet-lite0"
K, RECALL = 10, 0.99
TREES, LINKS, EFFORT = 20, 16, 200
ROUNDS, TIMED = 7, 250
#: Answers queries (q, dim) with rows (q, 10).
Search = Callable[[np.ndarray], np.ndarray]


@dataclass
class Contender:
    """A built index, with its measurements."""

    name: str
    build_seconds: float
    search: Search
    recall: float = 0.0
    one_by_one: list[float] = field(default_factory=list)  # queries a second, one for each round
    at_once: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(tempfile.gettempdir()) / "aina-benchmarks"
    parser.add_argument("--cache", type=Path, default=default, help="where embeddings are kept")
    parser.add_argument("--gallery", default="stamps", help="whose images are cropped")
    options = parser.parse_args()
    rows = embeddings(options.gallery, options.cache)
    vectors, queries = rows[:GALLERY], rows[GALLERY:]
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        tenth = np.sort(queries @ vectors.T, axis=1)[:, -K]
        contenders = prepare(vectors, queries, tenth, Path(folder))
        for contender in contenders:
            contender.recall = recall(contender.search, vectors, queries, tenth)
        for _ in range(ROUNDS):
            for contender in contenders:
                measure(contender, queries[:TIMED])
        print_table(contenders)
        print_strange(vectors, Path(folder))


def embeddings(gallery: str, cache: Path) -> np.ndarray:
    """Return (GALLERY + QUERIES, dim) float32, from the cache or computed."""
    path = cache / f"{MODEL}-{gallery}-{GALLERY + QUERIES}-{SEED}.npy"
    if not path.exists():
        opened = open_gallery(gallery)
        records = [r for r in opened.catalogue.images().values() if r.failure is None]
        pictures = [images.read_image(opened.path(record)) for record in records]
        rows = load_embedder(MODEL).embed(crops(pictures, GALLERY + QUERIES))
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, rows)
    return np.load(path, allow_pickle=False)


def crops(pictures: list[Image.Image], count: int) -> Iterator[Image.Image]:
    """Cut rectangles of 0.4 to 1 of the sides out of random pictures; mirror every other."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        picture = pictures[rng.integers(len(pictures))]
        width, height = (max(int(side * rng.uniform(0.4, 1)), 1) for side in picture.size)
        left = int(rng.integers(picture.width - width + 1))
        top = int(rng.integers(picture.height - height + 1))
        crop = picture.crop((left, top, left + width, top + height))
        crop.thumbnail((260, 260))
        yield crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop


def print_strange(vectors: np.ndarray, folder: Path) -> None:
    """Print what AINA's Annoy finds for queries unlike the gallery, at two efforts."""
    pictures = [images.read_image(photograph.path()) for photograph in demo.PHOTOGRAPHS]
    queries = load_embedder(MODEL).embed(crops(pictures, STRANGE))
    tenth = np.sort(queries @ vectors.T, axis=1)[:, -K]
    index = open_index("annoy", vectors, folder, checksum="benchmark")
    print(f"\n{STRANGE} crops of the demo's photographs as queries, one by one:")
    for effort in (1, 20):

        def search(asked: np.ndarray, effort: int = effort) -> np.ndarray:
            return np.concatenate([index.search(q[None], K, effort=effort)[0] for q in asked])

        started = time.perf_counter()
        search(queries)
        milliseconds = (time.perf_counter() - started) / len(queries) * 1000
        found = recall(search, vectors, queries, tenth)
        print(f"effort {effort}: recall@10 {found:.3f}, {milliseconds:.1f} ms a query")


def prepare(
    vectors: np.ndarray, queries: np.ndarray, tenth: np.ndarray, folder: Path
) -> list[Contender]:
    """Build every index; plain Annoy comes first."""

    def enough(effort: int, search_with: Callable[[int], Search]) -> tuple[int, Search]:
        """Raise the effort by quarters until index recall@10 is reached."""
        while recall(search_with(effort), vectors, queries, tenth) < RECALL:
            effort = effort * 5 // 4
        return effort, search_with(effort)

    contenders = []
    started = time.perf_counter()
    annoy = plain_annoy(vectors)
    seconds = time.perf_counter() - started
    effort, search = enough(500, annoy)
    contenders.append(Contender(f"Annoy, {vectors.shape[1]}-d, search_k {effort}", seconds, search))
    for kind in ("annoy", "hnsw"):
        started = time.perf_counter()
        search = own(kind, vectors, folder)
        contenders.append(Contender(f"AINA {kind}", time.perf_counter() - started, search))
    started = time.perf_counter()
    graph = plain_usearch(vectors)
    seconds = time.perf_counter() - started
    effort, search = enough(K, graph)
    contenders.append(Contender(f"usearch, {vectors.shape[1]}-d, ef {effort}", seconds, search))
    started = time.perf_counter()
    search = faiss_flat(vectors)
    contenders.append(Contender("faiss flat (exact)", time.perf_counter() - started, search))
    return contenders


def plain_annoy(vectors: np.ndarray) -> Callable[[int], Search]:
    from annoy import AnnoyIndex

    forest = AnnoyIndex(vectors.shape[1], "angular")
    forest.set_seed(SEED)
    for number, row in enumerate(vectors):
        forest.add_item(number, row.tolist())
    forest.build(TREES, n_jobs=1)

    def search_with(search_k: int) -> Search:
        return lambda queries: np.array(
            [forest.get_nns_by_vector(query.tolist(), K, search_k) for query in queries]
        )

    return search_with


def plain_usearch(vectors: np.ndarray) -> Callable[[int], Search]:
    from usearch.index import Index

    graph = Index(
        ndim=vectors.shape[1],
        metric="cos",
        dtype="f32",
        connectivity=LINKS,
        expansion_add=EFFORT,
    )
    graph.add(np.arange(len(vectors), dtype=np.uint64), vectors, threads=1)

    def search_with(ef: int) -> Search:
        def search(queries: np.ndarray) -> np.ndarray:
            graph.expansion_search = ef
            return graph.search(queries, K, threads=1).keys.astype(np.int64)

        return search

    return search_with


def own(kind: str, vectors: np.ndarray, folder: Path) -> Search:
    index = open_index(kind, vectors, folder, checksum="benchmark")
    return lambda queries: index.search(queries, K)[0]


def faiss_flat(vectors: np.ndarray) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def recall(search: Search, vectors: np.ndarray, queries: np.ndarray, tenth: np.ndarray) -> float:
    """Index recall@10 by similarity: equal rows are as good as each other."""
    rows = search(queries)  # (q, 10)
    near = np.stack([vectors[row] @ query for row, query in zip(rows, queries, strict=True)])
    return float((near >= tenth[:, None] - 1e-6).mean())


def measure(contender: Contender, queries: np.ndarray) -> None:
    """Time one round, of single queries and of all at once."""
    started = time.perf_counter()
    for query in queries:
        contender.search(query[None])
    between = time.perf_counter()
    contender.search(queries)
    ended = time.perf_counter()
    contender.one_by_one.append(len(queries) / (between - started))
    contender.at_once.append(len(queries) / (ended - between))


def print_table(contenders: list[Contender]) -> None:
    print(
        f"{GALLERY} embeddings, {QUERIES} held-out queries, one thread, "
        f"median of {ROUNDS} rounds of {TIMED} queries\n"
    )
    print("| index | build s | recall@10 | queries/s, single | × | queries/s, at once | × |")
    print("|---|---|---|---|---|---|---|")
    plain = contenders[0]
    for contender in contenders:
        cells = [contender.name, f"{contender.build_seconds:.1f}", f"{contender.recall:.4f}"]
        for speeds, base in (
            (contender.one_by_one, plain.one_by_one),
            (contender.at_once, plain.at_once),
        ):
            ratio = statistics.median(speeds) / statistics.median(base)
            cells += [f"{statistics.median(speeds):.0f}", f"{ratio:.1f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
