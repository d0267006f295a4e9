"""What is damaged is found, and mended where it can be."""

import json
import os
from pathlib import Path

import pytest

from aina_core.embedding import load_embedder
from aina_core.errors import DamagedError
from aina_core.gallery import open_gallery, update
from aina_core.gallery.verify import repair, verify
from aina_core.search.searcher import Searcher
from tests.support.galleries import stored


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 0x10
    path.write_bytes(content)


def damage_of(kind: str, folder: Path) -> None:
    (vectors,) = folder.glob("vectors-*.npy")
    (rows,) = folder.glob("rows-*.jsonl")
    if kind == "vectors flipped":
        flip(vectors)
    elif kind == "vectors cut":
        os.truncate(vectors, 500)
    elif kind == "vectors gone":
        vectors.unlink()
    elif kind == "rows swapped":
        first, second, *others = rows.read_text().splitlines(keepends=True)
        rows.write_text("".join([second, first, *others]))
    elif kind == "baseline flipped":
        flip(next(folder.glob("baseline-*.npy")))
    elif kind == "manifest garbage":
        (folder / "manifest.json").write_bytes(b"\0" * 50)
    elif kind == "manifest of another kind":
        (folder / "manifest.json").write_text('{"format": 99}')
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        if kind == "manifest without files":
            manifest["files"] = {}
        elif kind == "manifest with senseless files":
            manifest["files"] = dict.fromkeys(manifest["files"], 3)
        elif kind == "manifest with files elsewhere":
            manifest["files"]["../../../gallery.json"] = {"size": 1, "sha256": ""}
        elif kind == "manifest of another size":
            manifest["dim"] = 25
        else:
            del manifest[kind.split()[-1]]
        (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "kind",
    [
        "vectors flipped",
        "vectors cut",
        "vectors gone",
        "rows swapped",
        "baseline flipped",
        "manifest garbage",
        "manifest of another kind",
        "manifest without files",
        "manifest with senseless files",
        "manifest with files elsewhere",
        "manifest of another size",
        "manifest without generation",
        "manifest without count",
        "manifest without dim",
        "manifest without fingerprint",
        "manifest without computed_on",
    ],
)
def test_damage_is_found_and_mended(kind, gallery):
    whole = stored(gallery, "tiny")
    assert verify(gallery) == []
    damage_of(kind, gallery.store("tiny").folder)
    (problem,) = verify(gallery)
    assert problem.startswith("tiny: ") and "\n" not in problem
    with pytest.raises(DamagedError):
        gallery.vectors("tiny")
    with pytest.raises(DamagedError):
        gallery.generation("tiny")
        gallery.vectors("tiny")
    assert repair(gallery) == []
    assert verify(gallery) == [] and stored(gallery, "tiny") == whole


@pytest.mark.parametrize("kind", ["vectors flipped", "manifest garbage", "manifest without dim"])
def test_indexing_again_mends_as_well(kind, gallery, embedder):
    whole = stored(gallery, "tiny")
    damage_of(kind, gallery.store("tiny").folder)
    update(gallery, embedder)
    assert stored(gallery, "tiny") == whole


@pytest.mark.parametrize("damage", ["garbage", "gone", "cut"])
def test_a_damaged_catalogue_is_found_and_made_again(damage, gallery, photos):
    path = gallery.catalogue.path
    before = gallery.catalogue.images()
    for extra in path.parent.glob("catalogue.sqlite-*"):
        extra.unlink()
    if damage == "garbage":
        path.write_bytes(os.urandom(path.stat().st_size))
    elif damage == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 3)
    (problem,) = verify(gallery)
    assert "catalogue" in problem.lower()
    with pytest.raises(DamagedError):
        gallery.catalogue.images()
    assert repair(gallery) == []
    assert gallery.catalogue.images() == before
    assert Searcher(gallery, "tiny").count == 12


def test_a_catalogue_that_is_made_again_serves_every_model(gallery, tiny):
    update(gallery, load_embedder("tiny@fast", device="cpu"))
    gallery.catalogue.path.write_bytes(b"no database" * 100)
    assert repair(gallery) == []
    assert all(Searcher(gallery, model).count == 12 for model in ("tiny", "tiny@fast"))


def test_what_cannot_be_repaired_is_said(gallery, photos):
    damage_of("vectors flipped", gallery.store("tiny").folder)
    photos.rename(photos.with_name("away"))
    (problem,) = repair(gallery)
    assert problem.startswith("tiny: ") and "is missing" in problem


def test_a_damaged_record_of_a_gallery_is_one_sentence(gallery):
    (gallery.folder / "gallery.json").write_text("{")
    with pytest.raises(DamagedError):
        open_gallery("mine")
