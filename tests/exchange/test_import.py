"""Embeddings that exist already become a gallery, and nothing is embedded."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aina_core import exchange, images
from aina_core.embedding import load_embedder
from aina_core.errors import (
    DamagedError,
    GalleryError,
    ImageError,
    InputError,
    StoppedError,
    WeightsMissingError,
)
from aina_core.exchange import export, import_vectors, open_source, own
from aina_core.exchange import source as blocks
from aina_core.gallery import create, galleries, open_gallery, update
from aina_core.models import get, is_external
from aina_core.search.query import embed_query
from aina_core.search.searcher import Searcher
from tests.support.galleries import files_of, stored
from tests.support.process import ROOT, wait_until

EXTERNAL = "external:their net"


def imported(path, name="copy", *, images=None, labels=None, overwrite=False, **options):
    """Import, and return the report."""
    source = open_source(path, **options)
    return import_vectors(source, name, images=images, labels=labels, overwrite=overwrite)


def drawn(count, dim=24, seed=0):
    """Vectors of any length."""
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32) * 3


def units(vectors):
    wide = np.asarray(vectors, np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@pytest.fixture
def broken(gallery, photos, embedder):
    """The gallery of twelve photographs with two files that are no pictures."""
    (photos / "torn.jpg").write_bytes(b"\xff\xd8 torn")
    (photos / "empty.png").write_bytes(b"")
    update(gallery, embedder)
    return gallery


@pytest.fixture
def out(broken, tiny, tmp_path):
    """What `export` makes of it, in files of five rows."""
    report = export(broken, tiny, tmp_path / "out", part_rows=5)
    assert (report.rows, report.failed_count) == (14, 2)
    return tmp_path / "out"


# ── a finished folder ────────────────────────────────────────────────────────────────────────────


def test_what_was_exported_comes_back_bit_for_bit(broken, out, tiny):
    report = imported(out)
    assert (report.rows, report.failed_count, report.verified) == (12, 2, True)
    copy = open_gallery("copy")
    assert stored(copy, tiny) == stored(broken, tiny)
    assert copy.catalogue.images() == broken.catalogue.images()  # failures with their reasons
    assert copy.manifest(tiny)["fingerprint"] == broken.manifest(tiny)["fingerprint"]
    ours, theirs = Searcher(copy, tiny), Searcher(broken, tiny)
    assert ours.labels == theirs.labels and len(ours.labels) == 3
    again = export(copy, tiny, out.parent / "again", part_rows=5)
    assert again.parts == len(exchange.parts(out)) == 4
    for ours, theirs in zip(exchange.parts(out.parent / "again"), exchange.parts(out), strict=True):
        assert pq.read_table(ours).equals(pq.read_table(theirs))


def test_an_upload_finds_the_same_as_in_the_gallery_that_was_indexed(
    broken, out, embedder, pictures, tmp_path
):
    imported(out)
    pictures[30].save(tmp_path / "query.png")
    vector = embed_query(embedder, images.read_bytes(tmp_path / "query.png"))
    found = [
        Searcher(gallery, embedder.model).search(vector, exact=True).nearest(12)
        for gallery in (broken, open_gallery("copy"))
    ]
    assert found[0] == found[1] and len(found[0]) == 12


def test_indexing_an_imported_gallery_embeds_nothing(out, photos, embedder, tiny, aina):
    imported(out)
    before = stored(open_gallery("copy"), tiny)
    ran = aina("index", photos, "--gallery", "copy", "--model", tiny, "--device", "cpu", "--json")
    assert ran.status == 0 and ran.json["images_per_second"] == 0
    assert (ran.json["unchanged"], ran.json["added"], ran.json["updated"]) == (12, 0, 0)
    assert stored(open_gallery("copy"), tiny) == before


def test_only_a_changed_file_is_embedded(out, photos, embedder, pictures):
    imported(out)
    pictures[20].save(photos / "brick" / "1.jpg")
    report = update(open_gallery("copy"), embedder)
    assert (report.updated, report.unchanged) == (1, 11)


def test_thumbnails_are_made_when_they_are_asked_for_and_kept(out, broken):
    imported(out)
    copy = open_gallery("copy")
    record = copy.catalogue.image("brick/1.jpg")
    assert copy.catalogue.thumbnail(record.sha256) is None
    version = copy.catalogue.version()
    made = copy.thumbnail(record.sha256)
    assert made == broken.catalogue.thumbnail(record.sha256)  # as indexing makes them
    assert copy.catalogue.thumbnail(record.sha256) == made
    assert copy.catalogue.version() == version  # nobody opens the gallery anew for it
    assert copy.thumbnail("0" * 64) is None


def test_without_the_folder_it_has_no_pictures(out, photos, embedder, tiny, aina, tmp_path):
    shutil.move(photos, tmp_path / "elsewhere")
    ran = aina("import", out, "--gallery", "bare", "--json")
    assert ran.status == 0 and ran.json["pictures"] is None
    bare = open_gallery("bare")
    assert not bare.has_pictures
    with pytest.raises(ImageError, match="its picture is not here"):
        bare.thumbnail(Searcher(bare, tiny).checksums[0])
    with pytest.raises(InputError, match="its picture is not here"):
        bare.read("brick/1.jpg")
    before = files_of(bare.folder / "models")
    refused = aina("index", bare.root, "--gallery", "bare", "--model", tiny, "--device", "cpu")
    assert refused.status == 2 and "without its pictures" in refused.err
    refused = aina("index", tmp_path / "elsewhere", "--gallery", "bare", "--model", tiny)
    assert refused.status == 2 and "import it again with --images" in refused.err
    assert files_of(bare.folder / "models") == before and bare.catalogue.counts() == (12, 2)
    assert aina("import", out, "--gallery", "other", "--images", tmp_path / "elsewhere").status == 0
    assert open_gallery("other").root == tmp_path / "elsewhere"


def test_the_images_that_another_gallery_keeps_are_shown(home, photos, embedder, tiny, aina):
    kept = create("kept", None)
    shutil.copytree(photos, kept.root, dirs_exist_ok=True)
    update(kept, embedder)
    out = home.parent / "out"
    assert aina("export", "--gallery", "kept", "--model", tiny, "--out", out).status == 0
    ran = aina("import", out, "--gallery", "again", "--json")
    assert ran.status == 0 and ran.json["pictures"] == str(kept.root)
    again = open_gallery("again")
    checksum = Searcher(again, tiny).checksums[0]
    assert not again.keeps_images and again.thumbnail(checksum)
    ran = aina(
        *("index", kept.root, "--gallery", "again", "--model", tiny, "--device", "cpu", "--json")
    )
    assert ran.status == 0 and ran.json["unchanged"] == 12
    before = files_of(kept.root)
    again.delete()
    assert files_of(kept.root) == before
    imported(out, "again")
    kept.delete()  # and the pictures with it, not the vectors
    again = open_gallery("again")
    with pytest.raises(ImageError, match="is missing"):
        again.thumbnail(checksum)
    assert len(Searcher(again, tiny).search(Searcher(again, tiny).vector("brick/1.jpg")).nearest(9))
    refused = aina("index", again.root, "--gallery", "again", "--model", tiny, "--device", "cpu")
    assert refused.status == 2 and "is missing" in refused.err and again.catalogue.counts()[0] == 12


def test_a_folder_among_aina_own_is_only_refused_where_it_was_asked_for(out, home, photos, aina):
    shutil.copytree(photos, home / "mine" / "models" / "photos")
    manifest = json.loads((out / exchange.MANIFEST).read_text())
    among = str(home / "mine" / "models" / "photos")
    (out / exchange.MANIFEST).write_text(json.dumps(manifest | {"root": among}))
    ran = aina("import", out, "--gallery", "asked", "--images", among)
    assert ran.status == 2 and "AINA's own galleries" in ran.err
    ran = aina("import", out, "--gallery", "copy")
    assert ran.status == 0 and "without pictures" in ran.out and "AINA's own galleries" in ran.out
    assert galleries() == ["copy", "mine"]


def test_a_folder_of_other_files_is_none_of_the_pictures(out, photos, pictures):
    for path in photos.rglob("*.*"):
        pictures[0].resize((10, 10)).save(path, format="PNG")
    report = imported(out)
    assert report.pictures is None
    with pytest.raises(InputError, match="12 are missing or of another size, as: astronaut/0"):
        imported(out, "other", images=photos)
    assert galleries() == ["copy", "mine"]


def test_a_folder_that_is_not_finished_is_refused(out):
    (out / exchange.MANIFEST).rename(out / "kept")
    with pytest.raises(InputError, match="never finished"):
        imported(out, model=EXTERNAL)
    with pytest.raises(InputError, match="name it by --model"):
        imported(out)
    (out / "kept").rename(out / exchange.MANIFEST)
    exchange.parts(out)[1].unlink()
    with pytest.raises(DamagedError, match=r"has 9 rows, 2 of them failures, but its _aina"):
        imported(out)
    assert galleries() == ["mine"] and not list(open_gallery("mine").folder.parent.glob(".imp*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "nosuch"}, "contradicts itself"),
        ({"dim": 23}, "contradicts itself"),
        ({"rows": "many"}, "damaged"),
        ({"format": 99}, "unknown format"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(out, change, said):
    manifest = json.loads((out / exchange.MANIFEST).read_text())
    (out / exchange.MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(DamagedError, match=said):
        imported(out)


def test_only_this_machines_own_weights_verify_a_folder(out, tiny, monkeypatch, tmp_path):
    path = out / exchange.MANIFEST
    manifest = json.loads(path.read_text())
    fingerprint = manifest["fingerprint"]

    def opened(changed):
        path.write_text(json.dumps(manifest | {"fingerprint": changed}))
        return open_source(out)

    assert opened(fingerprint).verified
    with pytest.raises(
        InputError, match=r"out was made by tiny with other weights \(000000000000…"
    ):
        opened(fingerprint | {"weights": "0" * 64})
    assert not opened({key: fingerprint[key] for key in ("model", "dim")}).verified
    assert not opened(fingerprint | {"imported": True}).verified

    def nowhere(_):
        raise WeightsMissingError("none here")

    weights = type(get(tiny).weights)
    monkeypatch.setattr(weights, "locate", nowhere)
    assert not opened(fingerprint).verified
    assert not opened(fingerprint | {"weights": "0" * 64}).verified


def test_parts_of_another_writer_in_any_order_are_read(broken, out, tiny):
    """As Spark writes them: items named element, nulls for what is unknown, files in folders."""
    rows = [row for path in exchange.parts(out) for row in pq.read_table(path).to_pylist()]
    for row in rows:
        if row["failure"] is not None:
            row |= dict.fromkeys(("width", "height", "norm"))
    order = np.random.default_rng(3).permutation(len(rows))
    for path in exchange.parts(out):
        path.unlink()
    kinds = {field.name: field.type for field in exchange.SCHEMA}
    kinds["embedding"] = pa.list_(pa.field("element", pa.float32()))
    for number in range(3):
        part = out / f"kind={number}" / "part-0.snappy.parquet"
        part.parent.mkdir()
        chosen = [rows[place] for place in order[number::3]]
        pq.write_table(pa.Table.from_pylist(chosen, pa.schema([*kinds.items()])), part)
    (out / "_SUCCESS").touch()
    imported(out)
    copy = open_gallery("copy")
    assert stored(copy, tiny) == stored(broken, tiny)
    assert copy.catalogue.images() == broken.catalogue.images()


@pytest.mark.parametrize("wrong", ["longer", "not a number", "shorter", "no id"])
def test_a_damaged_part_is_refused(out, wrong):
    path = exchange.parts(out)[0]
    rows = pq.read_table(path).to_pylist()
    changed = {
        "longer": {"embedding": [2.0, *rows[1]["embedding"][1:]]},
        "not a number": {"embedding": [float("nan"), *rows[1]["embedding"][1:]]},
        "shorter": {"embedding": rows[1]["embedding"][1:]},
        "no id": {"id": None},
    }[wrong]
    rows[1] |= changed
    pq.write_table(pa.Table.from_pylist(rows, exchange.SCHEMA), path)
    with pytest.raises(DamagedError, match=r"part-00000.parquet .* is damaged"):
        imported(out)
    assert galleries() == ["mine"]


# ── vectors made elsewhere ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_an_array_of_any_floats(home, tmp_path, kind):
    vectors = drawn(20_000, 8).astype(kind)
    np.save(tmp_path / "v.npy", vectors)
    report = imported(tmp_path / "v.npy", model=EXTERNAL)
    assert (report.rows, report.dim, report.failed_count, report.verified) == (20_000, 8, 0, False)
    opened = Searcher(open_gallery("copy"), EXTERNAL)
    assert opened.ids[0] == "row 0000001" and opened.ids[19_999] == "row 0020000"
    assert np.allclose(opened.matrix, units(vectors), atol=2e-7)
    assert np.allclose(opened.norms, np.linalg.norm(vectors.astype(float), axis=1), rtol=1e-6)


def test_unit_rows_keep_their_bits(home, tmp_path):
    vectors = units(drawn(50)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    imported(tmp_path / "v.npy", model=EXTERNAL)
    assert (Searcher(open_gallery("copy"), EXTERNAL).matrix == vectors).all()


def test_rows_that_are_no_use_are_failures_with_reasons(home, tmp_path):
    vectors = drawn(9).astype(np.float64)
    vectors[1, 3], vectors[2, 0], vectors[4] = np.nan, -np.inf, 0
    vectors[5] *= 1e300
    vectors[6] *= 1e-300
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "ids.txt").write_text("\n".join("ihgfedcba"))
    report = imported(tmp_path / "v.npy", model=EXTERNAL, ids=tmp_path / "ids.txt")
    assert (report.rows, report.failed_count) == (4, 5)
    reasons = {failure["id"]: failure["reason"] for failure in report.failed}
    assert "not finite" in reasons["h"] and reasons["g"] == reasons["h"]
    assert "points nowhere" in reasons["e"] and reasons["c"] == reasons["e"]
    assert "too long" in reasons["d"]
    copy = open_gallery("copy")
    assert {r.id: r.failure for r in copy.catalogue.failures()} == reasons
    opened = Searcher(copy, EXTERNAL)
    assert list(opened.ids) == ["a", "b", "f", "i"]
    assert np.allclose(opened.vector("i"), units(vectors[:1])[0], atol=1e-6)
    assert np.allclose(opened.vector("a"), units(vectors[8:])[0], atol=1e-6)


def lists(kind, size=None):
    return pa.list_(kind) if size is None else pa.list_(kind, size)


@pytest.mark.parametrize(
    "kind",
    [
        lists(pa.float32()),
        lists(pa.float64()),
        lists(pa.float16()),
        lists(pa.float32(), 6),
        pa.large_list(pa.float64()),
    ],
    ids=str,
)
def test_parquet_of_any_lists(home, tmp_path, kind):
    vectors = drawn(9000, 6).astype(kind.value_type.to_pandas_dtype())
    rows = [*vectors.tolist()]
    rows[8500] = None
    table = pa.table(
        {"filename": [f"{n:05}.jpg" for n in range(9000)], "emb": pa.array(rows, kind)}
    )
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=4000)
    report = imported(tmp_path / "v.parquet", model=EXTERNAL)
    assert report.failed == [{"id": "08500.jpg", "reason": "it has no vector"}]
    opened = Searcher(open_gallery("copy"), EXTERNAL)
    kept = np.delete(np.arange(9000), 8500)
    assert np.allclose(opened.matrix, units(vectors)[kept], atol=2e-7)
    assert opened.ids[8500] == "08501.jpg"


def test_parquet_of_vectors_of_several_lengths_and_columns_by_name(home, tmp_path):
    vectors = drawn(4, 6).tolist()
    vectors[2] = vectors[2][:3]
    vectors[3][1] = None
    (tmp_path / "many").mkdir()
    for part in range(2):
        table = {"key": [f"{part}-{n}" for n in range(4)], "id": range(4), "v": vectors}
        pq.write_table(pa.table(table), tmp_path / "many" / f"{part}.parquet")
    asked = {"model": EXTERNAL, "column": "v", "id_column": "key"}
    report = imported(tmp_path / "many", **asked)
    assert (report.rows, report.failed_count) == (4, 4)
    assert [each["reason"] for each in report.failed[:2]] == [
        "its vector has 3 numbers, not 6",
        "its vector holds numbers that are not finite",
    ]
    with pytest.raises(InputError, match=r"'nosuch'; there are: key, id, v"):
        imported(tmp_path / "many", **(asked | {"column": "nosuch"}))
    with pytest.raises(InputError, match=r"id of .* is int64; lists of float16, float32"):
        imported(tmp_path / "many", **(asked | {"column": "id"}))
    with pytest.raises(InputError, match=r"v of many is list.*; texts or whole numbers"):
        imported(tmp_path / "many", **(asked | {"id_column": "v"}))
    with pytest.raises(InputError, match=r"name it by --column"):
        imported(tmp_path / "many", **(asked | {"column": None}))
    with pytest.raises(InputError, match="has the id '0' twice"):
        imported(tmp_path / "many", "other", **(asked | {"id_column": None}))
    assert galleries() == ["copy"]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "name it by --model"),
        ({"model": "nosuch"}, "are named external:NAME"),
        ({"model": "external:../up"}, "cannot name vectors made elsewhere"),
        ({"model": "tiny"}, "have 5 numbers, those of tiny 24"),
        ({"model": "tiny@pca8"}, "import those of tiny"),
        ({"model": EXTERNAL, "ids": b"a\nb\n"}, "has 2 ids, but v.npy has 3 rows"),
        ({"model": EXTERNAL, "ids": b"a\nb\na\n"}, "has the id 'a' twice"),
        ({"model": EXTERNAL, "ids": b"a\n\nb\n"}, "Line 2 of the ids is empty"),
        ({"model": EXTERNAL, "ids": b"a\n\xff\nb\n"}, "not UTF-8"),
        ({"model": EXTERNAL, "ids": b"a\n\0\nb\n"}, "no zero byte"),
        ({"model": EXTERNAL, "ids": b"a\n" + b"b" * 5000 + b"\nc\n"}, "1 to 4,096 signs"),
        ({"model": EXTERNAL, "column": "v"}, "--column does not go with an npy file"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_sentence(home, tiny, tmp_path, options, said):
    np.save(tmp_path / "v.npy", drawn(3, 5))
    if "ids" in options:
        options = {**options, "ids": write(tmp_path, "ids.txt", options["ids"])}
    with pytest.raises(InputError, match=said):
        imported(tmp_path / "v.npy", **options)
    assert not galleries() and not any(home.glob(".aina-new-*"))


def test_files_that_are_no_vectors(home, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "whole.npy", np.ones((3, 2), int))
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.zeros((2, 2)))
    shutil.move(tmp_path / "many.npz", tmp_path / "many.npy")
    for name, content in [("text.npy", b"hello"), ("cut.npy", b"\x93NUMPY\x01"), ("a.csv", b"a")]:
        write(tmp_path, name, content)
    write(tmp_path, "text.parquet", b"PAR1 hello PAR1")
    for path in sorted(tmp_path.glob("*.*")):
        with pytest.raises(InputError, match=path.name):
            imported(path, model=EXTERNAL)
    with pytest.raises(InputError, match="is missing"):
        imported(tmp_path / "nosuch.npy", model=EXTERNAL)
    np.save(tmp_path / "zero.npy", np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"no vector that can be used \(3 rows; row 0000001: its"):
        imported(tmp_path / "zero.npy", model=EXTERNAL)


@pytest.mark.parametrize(
    "shape", ["(10**30, 4)", f"({10**30}, 4)", "(True, 4)", "(-2, 4)", "(2, ", "-" * 9000 + "1"]
)
def test_an_npy_file_with_a_header_that_nobody_should_write(home, tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(32)
    with pytest.raises(InputError, match=r"v.npy cannot be read as npy: "):
        imported(write(tmp_path, "v.npy", content), model=EXTERNAL)
    with pytest.raises(InputError, match=r"z.npy cannot be read as npy: "):
        imported(write(tmp_path, "z.npy", b"PK\x03\x04 no archive"), model=EXTERNAL)


def test_parquet_with_ids_that_are_no_text_or_stand_twice(home, out, tmp_path):
    texts = pa.array([b"a", b"\xff"], pa.binary()).view(pa.string())
    vectors = pa.array(drawn(2, 3).tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": texts, "emb": vectors}), tmp_path / "bytes.parquet")
    with pytest.raises(InputError, match=r"bytes.parquet cannot be read as Parquet: .*utf-8"):
        imported(tmp_path / "bytes.parquet", model=EXTERNAL)
    twice = pa.Table.from_arrays([pa.array(["a", "b"])] * 2 + [vectors], ["id", "id", "emb"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(InputError, match=r"twice.parquet has 2 columns 'id'"):
        imported(tmp_path / "twice.parquet", model=EXTERNAL)
    part = exchange.parts(out)[0]
    table = pq.read_table(part)
    place = table.schema.names.index("label")
    broken = pa.array([b"\xff"] * len(table), pa.binary()).view(pa.string())
    pq.write_table(table.set_column(place, "label", broken), part)
    with pytest.raises(InputError, match=r"part-00000.parquet cannot be read as Parquet"):
        imported(out)
    pq.write_table(table.append_column("id", table.column("id")), part)
    with pytest.raises(InputError, match=r"part-00000.parquet has 2 columns 'id'"):
        imported(out)
    assert galleries() == ["mine"]


def test_long_vectors_come_in_few_rows_at_a_time(home, out, tmp_path, monkeypatch):
    assert [blocks.rows_for(dim) for dim in (1, 1280, 65_536, 1 << 30)] == [8192, 8192, 256, 1]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 24 * 4)
    np.save(tmp_path / "v.npy", drawn(10))
    vectors = pa.array(drawn(10).tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": range(10), "emb": vectors}), tmp_path / "v.parquet")
    for path in (tmp_path / "v.npy", tmp_path / "v.parquet"):
        read = [len(block.ids) for block in open_source(path, model=EXTERNAL).blocks()]
        assert read == [4, 4, 2]
    assert max(len(block.ids) for block in open_source(out).blocks()) == 4


def test_parquet_that_would_fill_the_memory_is_refused(home, out, tmp_path, monkeypatch):
    monkeypatch.setattr(own, "_SLACK", 1000)
    long = pa.array([[0.0] * 6, [0.0] * 50_000, [0.0] * 6], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": range(3), "emb": long}), tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").stat().st_size < 5000
    with pytest.raises(InputError, match=r"50,012 numbers .* 3 vectors .* have 6 numbers each"):
        imported(tmp_path / "v.parquet", model=EXTERNAL)
    part = exchange.parts(out)[0]
    rows = pq.read_table(part).to_pylist()
    rows[1]["embedding"] = [0.0] * 50_000
    pq.write_table(pa.Table.from_pylist(rows, exchange.SCHEMA), part)
    with pytest.raises(InputError, match=r"part-00000.parquet holds 50,096 numbers"):
        imported(out)
    manifest = json.loads((out / exchange.MANIFEST).read_text())
    named = {"model": EXTERNAL, "dim": 65_537}
    (out / exchange.MANIFEST).write_text(json.dumps(manifest | named | {"fingerprint": named}))
    with pytest.raises(InputError, match="have 65,537 numbers; 1 to 65,536"):
        open_source(out)
    assert galleries() == ["mine"]


def test_with_pictures_the_files_are_looked_up(home, photos, tiny, other_tiny, embedder, tmp_path):
    ids = sorted(files_of(photos))
    vectors = units(drawn(13)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "ids.txt").write_text("\r\n".join([*ids, "gone.jpg"]) + "\r\n")
    (tmp_path / "labels.csv").write_text("id,label,kind\nbrick/1.jpg,wall,red\nnosuch,x,y\n")
    report = imported(
        tmp_path / "v.npy",
        model=tiny,
        ids=tmp_path / "ids.txt",
        images=photos,
        labels=tmp_path / "labels.csv",
    )
    assert (report.rows, report.without_file, report.labelled) == (13, 1, 1)
    copy = open_gallery("copy")
    record = copy.catalogue.image("brick/1.jpg")
    assert (record.width, record.height) == images.read_image(photos / "brick/1.jpg").size
    assert copy.thumbnail(record.sha256)
    opened = Searcher(copy, tiny)
    assert opened.columns == {"kind": {"": 12, "red": 1}} and opened.labels["wall"] == 1
    # a query of one's own goes by the model's name, since nobody can tell whether it is the model's
    assert opened.checked(embedder) is embedder
    # another model knows the files as they are, and takes nothing away from the imported rows
    update(copy, load_embedder(other_tiny, device="cpu"))
    assert copy.catalogue.image("brick/1.jpg").sha256 == record.sha256
    assert Searcher(copy, tiny).count == 12  # one has no file any more


def test_ids_that_lead_out_of_the_folder_get_no_pictures(home, photos, tmp_path):
    np.save(tmp_path / "v.npy", drawn(2))
    for outside in ("../secret.jpg", str(photos / "brick/1.jpg")):
        (tmp_path / "ids.txt").write_text(f"brick/1.jpg\n{outside}\n")
        given = {"model": EXTERNAL, "ids": tmp_path / "ids.txt"}
        with pytest.raises(InputError, match="is no path below a folder"):
            imported(tmp_path / "v.npy", images=photos, **given)
        imported(tmp_path / "v.npy", **given)
        with pytest.raises(InputError, match="its picture is not here"):
            open_gallery("copy").read(outside)
        open_gallery("copy").delete()


# ── a gallery that is there ──────────────────────────────────────────────────────────────────────


def test_another_models_vectors_for_a_gallery(gallery, tiny, tmp_path):
    before = stored(gallery, tiny), gallery.catalogue.images()
    ids = list(Searcher(gallery, tiny).ids)
    order = np.random.default_rng(0).permutation(11)
    vectors = drawn(11, 7)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "ids.txt").write_text("\n".join(ids[row] for row in order))
    report = imported(tmp_path / "v.npy", "mine", model=EXTERNAL, ids=tmp_path / "ids.txt")
    assert (report.rows, report.missing) == (11, 1)
    opened = Searcher(gallery, EXTERNAL)
    assert gallery.models() == [EXTERNAL, tiny] and list(opened.ids) == ids[:11]
    assert np.allclose(opened.matrix[order], units(vectors), atol=1e-6)
    assert opened.checksums == Searcher(gallery, tiny).checksums[:11]
    assert (stored(gallery, tiny), gallery.catalogue.images()) == before


def test_ids_that_do_not_fit_a_gallery_are_refused(gallery, out, tiny, embedder, photos, tmp_path):
    before = files_of(gallery.folder)
    np.save(tmp_path / "v.npy", drawn(2))
    with pytest.raises(GalleryError, match=r"2 of the 2 ids .* as: row 0000001"):
        imported(tmp_path / "v.npy", "mine", model=EXTERNAL)
    assert files_of(gallery.folder) == before
    with pytest.raises(GalleryError, match=r"has its pictures in"):
        imported(out, "mine", images=tmp_path, overwrite=True)
    shutil.copy(photos / "brick/2.jpg", photos / "brick/1.jpg")
    update(gallery, embedder)
    with pytest.raises(GalleryError, match=r"1 of the 12 rows .* other files .* as: brick/1.jpg"):
        imported(out, "mine", overwrite=True)


def test_vectors_that_are_there_are_replaced_only_when_somebody_says_so(
    gallery, tiny, tmp_path, aina
):
    before = stored(gallery, tiny)
    ids = list(Searcher(gallery, tiny).ids)
    vectors = drawn(12)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    words = ["import", tmp_path / "v.npy", "--ids", tmp_path / "ids.txt", "--gallery", "mine"]
    ran = aina(*words, "--model", tiny)
    assert ran.status == 2 and "has vectors under tiny already; give --overwrite" in ran.err
    assert stored(gallery, tiny) == before
    assert aina(*words, "--model", tiny, "--overwrite").status == 0
    assert np.allclose(Searcher(gallery, tiny).matrix, units(vectors), atol=1e-6)


def test_galleries_agree_on_the_length_of_an_external_models_vectors(home, tmp_path):
    for dim in (5, 6):
        np.save(tmp_path / f"{dim}.npy", drawn(3, dim))
    imported(tmp_path / "5.npy", model=EXTERNAL)
    assert get(EXTERNAL).dim == 5 and is_external(f"{EXTERNAL}@fast")
    with pytest.raises(InputError, match=r"6 numbers, but those of external:their net .* have 5"):
        imported(tmp_path / "6.npy", "other", model=EXTERNAL)
    assert galleries() == ["copy"]


# ── only whole, or not at all ────────────────────────────────────────────────────────────────────


def test_a_killed_import_leaves_nothing_and_the_next_one_sweeps(home, tmp_path, aina):
    np.save(tmp_path / "v.npy", drawn(150_000, 8))
    code = "import sys; from aina_core.cli import main; sys.exit(main())"
    command = ["import", tmp_path / "v.npy", "--gallery", "g", "--model", EXTERNAL]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: any(p.stat().st_size for p in home.glob(".aina-new-*/made/journal.f32")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert galleries() == [] and len([*home.glob(".aina-new-*")]) == 1
    np.save(tmp_path / "v.npy", drawn(30, 8))
    assert aina(*command).status == 0
    assert galleries() == ["g"] and not [*home.glob(".aina-new-*")]


def test_an_import_can_be_stopped(home, tmp_path):
    np.save(tmp_path / "v.npy", drawn(20_000, 4))
    asked = iter([False, True])
    with pytest.raises(StoppedError, match="nothing was imported"):
        import_vectors(
            open_source(tmp_path / "v.npy", model=EXTERNAL), "g", stop=lambda: next(asked)
        )
    assert not galleries() and not any(home.glob(".aina-new-*"))


def test_a_gallery_is_locked_while_vectors_come_in(gallery, out, aina):
    with gallery.lock():
        ran = aina("import", out, "--gallery", "mine", "--overwrite")
    assert ran.status == 2 and "Another process is writing" in ran.err


def test_the_command_says_what_came_in(home, tmp_path, aina):
    np.save(tmp_path / "v.npy", np.vstack([drawn(30), np.zeros((25, 24))]))
    ran = aina("import", tmp_path / "v.npy", "--gallery", "g", "--model", EXTERNAL)
    assert ran.status == 0
    assert "30 vectors, 25 failed" in ran.out and "without pictures" in ran.out
    assert "and 5 more" in ran.out and "only images of the gallery can be queries" in ran.out
    ran = aina("export", "--gallery", "g", "--model", EXTERNAL, "--out", tmp_path / "o", "--json")
    assert ran.status == 0 and (ran.json["rows"], ran.json["failed_count"]) == (55, 25)
    assert (
        aina("export", "--gallery", "g", "--model", EXTERNAL, "--out", tmp_path / "o").status == 2
    )
    assert aina("import", tmp_path / "o", "--gallery", "again", "--json").json["verified"] is False
    assert stored(open_gallery("again"), EXTERNAL) == stored(open_gallery("g"), EXTERNAL)


def test_what_only_the_model_could_answer_is_refused_in_a_sentence(home, tmp_path, photos, aina):
    np.save(tmp_path / "v.npy", drawn(30))
    imported(tmp_path / "v.npy", "g", model=EXTERNAL)
    search = ["search", "--gallery", "g", "--model", EXTERNAL]
    ran = aina(*search, "--image-id", "row 0000003", "--json")
    assert ran.status == 0 and len(ran.json["neighbours"]) == 10
    pictures = sorted(photos.rglob("*.jpg"))
    for words in (
        [*search, "--image", pictures[0]],
        [*search, "--text", "a cat"],
        [*search, "--class", "cat"],
        [*search, "--image-id", "row 0000003", "--crop", "0,0,9,9"],
        ["explain", "--model", EXTERNAL, "--image", pictures[0], "--out", tmp_path / "e.png"],
        ["index", photos, "--gallery", "other", "--model", EXTERNAL],
    ):
        ran = aina(*words)
        assert ran.status == 2, words
        assert "AINA does not have that model" in ran.err, (words, ran.err)


def test_thumbnails_go_into_the_catalogue_of_readers_too(out):
    imported(out)
    copy = open_gallery("copy")
    record = copy.catalogue.image("brick/2.jpg")
    with copy.lock():  # a writer is at work
        assert copy.thumbnail(record.sha256)
    with sqlite3.connect(copy.folder / "catalogue.sqlite") as catalogue:
        assert catalogue.execute("SELECT COUNT(*) FROM thumbnails").fetchone() == (1,)
