"""Joins on Spark: neighbours and duplicates as one machine finds them, or nearly so by indexes."""

import contextlib
import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aina_core import exchange
from aina_core.disk import paths
from aina_core.duplicates import gather
from aina_core.duplicates.pairs import compute_pairs
from aina_core.index.exact import ExactIndex
from aina_core.models import DEFAULT
from aina_core.progress import never, silent
from aina_core.search.searcher import Searcher
from aina_core.spark import block_pairs, blocks, duplicates, neighbour_tasks, neighbours, partials
from aina_core.spark.blocks import blocks_for
from aina_core.spark.embeddings import open_embeddings
from benchmarks.duplicates import vectors
from benchmarks.synthetic import gallery_of
from tests.support.process import refused

COUNT, DIM, K = 2500, 48, 7
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
#: Rows that are one and the same, more of them than neighbours are asked for.
EQUAL = slice(1000, 1030)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Unit rows in clusters, with near-duplicates, and some that are equal to the last bit."""
    made = vectors(COUNT, DIM)
    made[EQUAL] = made[3]
    made[2000:2003] = made[1500]
    return made


@pytest.fixture(scope="module")
def truth(rows):
    """The K nearest of each row, itself left out, by rows; and their similarities."""
    wanted = K + EQUAL.stop - EQUAL.start + 1  # so many that each finds itself
    found, near = ExactIndex(rows).search(rows, wanted)
    others = found != np.arange(COUNT)[:, None]
    shape = COUNT, wanted - 1
    return found[others].reshape(shape)[:, :K], near[others].reshape(shape)[:, :K]


def id_of(row: int) -> str:
    return f"folder {row // 500}/ä{row:05}.jpg"


def write(folder, rows, **columns):
    """Write a finished folder of embeddings: in no order, in three parts, with two failures."""
    order = np.random.default_rng(0).permutation(len(rows))
    for number, part in enumerate(np.array_split(order, 3)):
        table = {
            "id": [id_of(row) for row in part] + [f"bad{number}.jpg"],
            "embedding": [*rows[part], None],
            "failure": [None] * len(part) + ["no image"],
            **{name: [*np.asarray(values)[part], None] for name, values in columns.items()},
        }
        folder.mkdir(exist_ok=True)
        missing = {name: [None] * (len(part) + 1) for name in exchange.SCHEMA.names}
        pq.write_table(
            pa.table({**missing, **table}, schema=exchange.SCHEMA),
            folder / f"part-{number}.parquet",
        )
    manifest = {"format": exchange.FORMAT, "model": DEFAULT, "dim": rows.shape[1]}
    manifest |= {"fingerprint": {}, "computed_on": [], "versions": {}, "source": "", "root": None}
    exchange.write_manifest(folder, {**manifest, "rows": len(rows) + 3, "failed": 3})
    return folder


@pytest.fixture(scope="module")
def embeddings(rows, tmp_path_factory):
    return write(tmp_path_factory.mktemp("embeddings") / "of [all] {rows}", rows)


@pytest.fixture
def spark_here(spark, monkeypatch):
    """The commands use the session that is there, and leave it running."""

    @contextlib.contextmanager
    def there(*_):
        yield spark

    spark.conf.set("spark.sql.shuffle.partitions", "2")
    monkeypatch.setattr(neighbours, "session", there)
    monkeypatch.setattr(duplicates, "session", there)


def read(out, rows):
    """The neighbours of a folder of results, by rows: (n, k) rows and similarities."""
    table = pq.read_table(out)
    assert table.schema.names == ["id", "neighbour", "rank", "similarity"]
    named = {id_of(row): row for row in range(len(rows))}
    own, others = ([named[i] for i in table.column(n).to_pylist()] for n in ("id", "neighbour"))
    ranks = table.column("rank").to_numpy()
    found = np.full((len(rows), ranks.max()), -1), np.full((len(rows), ranks.max()), np.nan)
    found[0][own, ranks - 1], found[1][own, ranks - 1] = others, table.column("similarity")
    assert len(table) == found[0].size and (found[0] >= 0).all()  # no doubles, nothing missing
    return found


def test_exact_neighbours_are_those_of_one_machine(
    spark_here, embeddings, rows, truth, tmp_path, aina
):
    out = tmp_path / "near"
    run = aina("spark-neighbours", embeddings, "-k", K, "--out", out, "--json")
    assert run.status == 0, run.err
    found = read(out, rows)
    assert (found[0] == truth[0]).all()
    assert np.abs(found[1] - truth[1]).max() < 1e-6
    said = run.json
    assert said["rows"] == COUNT and said["k"] == K and said["method"] == "exact"
    assert said["recall_at_k"] is None and said["seconds"] > 0 and said["pairs_per_second"] > 0
    parts = sorted(out.glob("*.parquet"))
    assert len(parts) == 3  # blocks
    for part in parts:
        ids = pq.read_table(part).column("id").to_pylist()
        assert ids == sorted(ids)
    manifest = manifest_of(out)
    assert manifest["kind"] == "neighbours" and manifest["model"] == DEFAULT
    again = aina("spark-neighbours", embeddings, "-k", K, "--out", out)
    assert "--overwrite" in refused(again)


def manifest_of(out):
    return paths.read_json(out / exchange.MANIFEST)


def test_an_index_a_block_finds_nearly_all_and_says_how_many(
    spark_here, embeddings, rows, truth, tmp_path, aina, monkeypatch
):
    monkeypatch.setattr(neighbour_tasks, "LEAST_INDEXED", 1000)
    out = tmp_path / "near"
    run = aina(
        *("spark-neighbours", embeddings, "-k", K, "--out", out, "--method", "annoy"),
        *("--sample", COUNT, "--json"),
    )
    assert run.status == 0, run.err
    found, near = read(out, rows)
    assert (found != np.arange(COUNT)[:, None]).all()
    assert np.abs(near - np.vecdot(rows[found], rows[:, None])).max() < 1e-6
    recall = (near >= truth[1][:, -1:] - 1e-6).mean()
    assert recall > 0.9 and run.json["sampled"] == COUNT
    assert run.json["recall_at_k"] == pytest.approx(recall, abs=1e-5)
    assert manifest_of(out)["recall_at_k"] == run.json["recall_at_k"]
    assert manifest_of(out)["blocks"] == 2


def test_results_stay_where_recall_cannot_be_measured(
    spark_here, embeddings, rows, tmp_path, aina, monkeypatch
):
    def failed(*_):
        raise OSError("no space left")

    monkeypatch.setattr(neighbours, "_recall", failed)
    command = ("spark-neighbours", embeddings, "-k", K, "--method", "annoy", "--out")
    run = aina(*command, tmp_path / "near", "--json")
    assert run.status == 0 and run.json["recall_at_k"] is None
    assert run.json["unmeasured"] == "no space left" and len(read(tmp_path / "near", rows)[0])
    assert "not measured: no space left" in aina(*command, tmp_path / "again").out


@pytest.fixture
def searcher(rows, home):
    """The rows as a gallery on this machine."""
    gallery = gallery_of("many", DEFAULT, rows)
    records = sorted(gallery.catalogue.images().values(), key=lambda record: record.id)
    gallery.catalogue.record(
        dataclasses.replace(record, width=1 + 7919 * row % 97, size=1 + row)
        for row, record in enumerate(records)
    )
    return Searcher(gallery, DEFAULT)


def test_duplicates_are_those_of_one_machine(spark_here, rows, searcher, tmp_path, aina):
    alone = gather(searcher, compute_pairs(searcher, 0.9, "exact", silent, never))
    sizes = {
        name: [getattr(record, name) for record in searcher.records]
        for name in ("width", "height", "size", "mtime_ns")
    }
    embeddings = write(tmp_path / "embeddings", rows, **sizes)
    out = tmp_path / "twice"
    run = aina("spark-duplicates", embeddings, "--threshold", 0.9, "--out", out, "--json")
    assert run.status == 0, run.err
    named = dict(zip(searcher.ids, map(id_of, range(COUNT)), strict=True))
    found = run.json
    assert found["threshold"] == 0.9 and found["pairs"] == alone.pairs > 435
    assert [(group["ids"], group["keep"]) for group in found["groups"]] == [
        ([named[i] for i in group.ids], named[group.kept.id]) for group in alone.groups
    ]
    for group, expected in zip(found["groups"], alone.groups, strict=True):
        assert group["weakest"] == expected.weakest.similarity
    assert len(found["between"]) == len(alone.between)
    table = pq.read_table(out).to_pylist()
    assert len(table) == found["pairs"]
    largest = [row for row in table if row["group"] == 1]
    size = len(found["groups"][0]["ids"])
    assert size >= 30 and len(largest) == size * (size - 1) // 2
    assert {row["keep"] for row in largest} == {found["groups"][0]["keep"]}


def test_duplicates_by_an_index_a_block(spark_here, embeddings, tmp_path, aina, monkeypatch):
    monkeypatch.setattr(neighbour_tasks, "LEAST_INDEXED", 1000)
    said = {}
    for method in ("exact", "annoy"):
        run = aina(
            *("spark-duplicates", embeddings, "--threshold", 0.9, "--method", method),
            *("--out", tmp_path / method, "--json"),
        )
        assert run.status == 0, run.err
        table = pq.read_table(tmp_path / method).to_pylist()
        said[method] = {(row["first"], row["second"]): row["similarity"] for row in table}
        assert len(said[method]) == len(table)
    assert said["annoy"].items() <= said["exact"].items()
    assert len(said["annoy"]) >= 0.97 * len(said["exact"])


def test_a_threshold_that_is_too_low(spark_here, embeddings, tmp_path, aina, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 300)
    out = tmp_path / "out"
    run = aina("spark-duplicates", embeddings, "--threshold", 0.2, "--out", out)
    assert "More than 300 pairs reach 0.200" in refused(run)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_embedding_is_named(spark_here, rows, tmp_path, aina):
    damaged = rows[:200].copy()
    damaged[17, 0] = np.nan
    embeddings = write(tmp_path / "embeddings", damaged)
    run = aina("spark-neighbours", embeddings, "--out", tmp_path / "out")
    assert id_of(17) in refused(run)
    manifest = exchange.read_manifest(embeddings)
    exchange.write_manifest(embeddings, {**manifest, "rows": 300})
    run = aina("spark-duplicates", embeddings, "--threshold", 0.9, "--out", tmp_path / "out")
    assert "200 embeddings" in refused(run) and not (tmp_path / "out").exists()


def test_embeddings_whose_parts_are_gone(spark_here, rows, tmp_path, aina):
    gone = write(tmp_path / "gone", rows)
    for part in exchange.parts(gone):
        part.unlink()
    for command in (("spark-neighbours",), ("spark-duplicates", "--threshold", 0.9)):
        run = aina(*command, gone, "--out", tmp_path / "out")
        assert "There are 0 embeddings, but the manifest speaks of 2,500" in refused(run)
    assert not (tmp_path / "out").exists()


def test_few_rows(spark_here, rows, tmp_path, aina):
    """Fewer than neighbours are asked for; none."""
    out = tmp_path / "out"
    three = write(tmp_path / "three", rows[:3])
    run = aina("spark-neighbours", three, "--out", out, "--json")
    assert run.json["k"] == 2 and read(out, rows[:3])[0].shape == (3, 2)
    none = write(tmp_path / "none", rows[:0])
    assert "at least two" in refused(aina("spark-neighbours", none, "--out", tmp_path / "other"))
    run = aina("spark-duplicates", none, "--threshold", 0.9, "--out", tmp_path / "d", "--json")
    assert run.json["groups"] == [] and pq.read_table(tmp_path / "d").num_rows == 0


def test_refusals_before_spark_is_started(embeddings, tmp_path, aina):
    near = ("spark-neighbours", embeddings, "--out", tmp_path / "out")
    twice = ("spark-duplicates", embeddings, "--out", tmp_path / "out")
    assert "1 to 1,000" in refused(aina(*near, "-k", 0))
    assert "annoy, exact" in refused(aina(*near, "--method", "guess"))
    assert "at least 1" in refused(aina(*near, "--sample", 0))
    assert "no similarity" in refused(aina(*twice, "--threshold", "nan"))
    assert "largest" in refused(aina(*twice, "--threshold", 0.9, "--keep", "sharpest"))
    inside = ("spark-neighbours", embeddings, "--out", embeddings / "out")
    assert "another folder" in refused(aina(*inside))
    assert "no finished embeddings" in refused(
        aina("spark-neighbours", tmp_path, "--out", tmp_path / "out")
    )
    assert list(tmp_path.iterdir()) == []


# ── what a task does ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("waiting", [block_pairs.MOST_WAITING, 50])
def test_blocks_joined_in_tiles(rows, truth, monkeypatch, waiting):
    """Tiles that divide nothing evenly, and proposals decided at once or again and again."""
    monkeypatch.setattr(block_pairs, "_LEFT", 300)
    monkeypatch.setattr(block_pairs, "_RIGHT", 417)
    monkeypatch.setattr(block_pairs, "MOST_WAITING", waiting)
    left, right = rows[:1010], rows[1010:]
    one, other = block_pairs.nearest_between(left, right, (0, 1010), K)
    one = block_pairs.nearest_within(left, 0, K).with_part(0, one)
    other = block_pairs.nearest_within(right, 1010, K).with_part(0, other)
    assert (np.concatenate([one.numbers, other.numbers]) == truth[0]).all()
    assert np.allclose(np.concatenate([one.near, other.near]), truth[1], atol=1e-6)


def test_blocks_for_cores_and_memory():
    assert blocks_for(1, 1280, 2) == 1
    assert blocks_for(5_000, 1280, 2) == 4  # ten tasks for two cores
    assert blocks_for(1_500, 1280, 64) == 2  # of less than a thousand rows nobody gains
    count = blocks_for(1_000_000, 1280, 2)
    assert 1_000_000 * 1280 * 4 / count <= blocks.BLOCK_BYTES
    with pytest.raises(Exception, match="--method annoy"):
        blocks_for(100_000_000, 1280, 2)


def test_blocks_and_samples_for_many_neighbours():
    rows = blocks.FOUND_BYTES // (12 * 1000)
    assert blocks_for(rows * 3, 8, 1, 1000) == 3
    assert neighbour_tasks.indexes_for(rows * 3, 8, 1, 1000) == 3
    assert neighbour_tasks.indexes_for(1_000_000, 1280, 2, 10) == 5  # as the vectors want it
    with pytest.raises(Exception, match=f"up to {512 * rows:,} of length 8"):
        blocks_for(rows * 513, 8, 1, 1000)
    assert neighbour_tasks.sample_for(1000, 1280, 1000) == 1000
    assert neighbour_tasks.sample_for(10**9, 1280, 10) == neighbour_tasks.SAMPLED_NUMBERS // 1280
    assert neighbour_tasks.sample_for(10**9, 8, 999) == neighbour_tasks.SAMPLED_NEIGHBOURS // 1000
    assert neighbour_tasks.sample_for(5, 1 << 25, 1) == 1


def test_absurdly_many_pairs_end_a_task(rows):
    with pytest.raises(Exception, match="More than 400 pairs"):
        block_pairs.pairs_between(rows, None, 0.999, 400)
    with pytest.raises(Exception, match="More than 400 pairs"):
        block_pairs.pairs_by_index(ExactIndex(rows), rows, 0.2, 400)


def test_an_index_of_fewer_rows_than_are_asked_for(rows):
    """Two blocks of two rows and of three, each asked for four neighbours of every row."""
    starts = (0, 2, 5)
    whole = block_pairs.Found.nothing(5, 4)
    for task in range(2):
        own_first = sorted(range(2), key=lambda block: block != task)
        sent = [
            blocks.chunk(block, 0, rows[starts[block] : starts[block + 1]].tobytes())
            for block in own_first
        ]
        named = [part.append_column("task", pa.array([task], pa.int32())) for part in sent]
        for found in neighbour_tasks._ask(starts, DIM, 4, named):
            block, place = (found.column(name)[0].as_py() for name in ("block", "place"))
            whole = whole.with_part(starts[block] + place, partials.piece(found, 0, 4))
    expected, _ = ExactIndex(rows[:5]).search(rows[:5], 5)
    assert (whole.numbers == expected[expected != np.arange(5)[:, None]].reshape(5, 4)).all()


def test_blocks_by_a_sample_of_ids(spark, embeddings, monkeypatch):
    """Where not all ids are looked at, blocks are about of one size, and counted."""
    monkeypatch.setattr(blocks, "_SAMPLED", 100)
    opened = open_embeddings(spark, str(embeddings))
    cut = blocks.cut_rows(opened.rows, COUNT, DIM, 3)
    assert cut.count == 3 and sum(cut.sizes) == COUNT and min(cut.sizes) > COUNT / 3 * 0.6
    ids = sorted(map(id_of, range(COUNT)))
    for start, border in zip(cut.starts[1:], cut.borders, strict=False):
        assert ids[start - 1] < border <= ids[start]
