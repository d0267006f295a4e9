"""The command `map`."""

import csv
import json
import signal

import pytest

from aina_core.gallery import open_gallery
from aina_core.projection import Settings, project, stored
from benchmarks.synthetic import clusters, gallery_of
from tests.support.process import start_tiny, wait_until

VECTORS, GROUPS = clusters(60, 24, groups=3)
MODEL = "tiny"


@pytest.fixture
def gallery(home, tiny):
    return gallery_of("mine", MODEL, VECTORS, [f"group {group}" for group in GROUPS])


def arguments(*more: object) -> list[object]:
    return ["map", "--gallery", "mine", "--model", MODEL, *more]


@pytest.mark.parametrize("method", ["umap", "tsne", "pca"])
@pytest.mark.parametrize("dims", [2, 3])
def test_prints_a_point_for_every_image(gallery, aina, method, dims):
    run = aina(*arguments("--method", method, "--dims", dims, "--seed", 3, "--json"))
    assert run.status == 0
    document = run.json
    made = stored(gallery, MODEL, Settings(method, dims=dims, seed=3))
    assert document["method"] == method
    assert document["trustworthiness"] == made.trustworthiness and document["seconds"] > 0
    assert document["settings"]["seed"] == 3 and document["settings"]["dims"] == dims
    names = ["id", "x", "y", "z"][: dims + 1]
    assert [list(point) for point in document["points"]] == [names] * 60
    assert [point["id"] for point in document["points"]] == made.ids
    found = [[point[name] for name in names[1:]] for point in document["points"]]
    assert found == made.coordinates.tolist()


def test_is_the_same_the_second_time(gallery, aina):
    first, second = (aina(*arguments("--json")) for _ in range(2))
    assert first.out == second.out and first.json["method"] == "umap"


def test_every_parameter_arrives(gallery, aina):
    given = {"seed": 5, "components": 7, "neighbours": 9, "min_dist": 0.3}
    options = [part for name, v in given.items() for part in (f"--{name.replace('_', '-')}", v)]
    settings = aina(*arguments(*options, "--json")).json["settings"]
    assert settings == {"method": "umap", "dims": 2, **given}
    run = aina(*arguments("--method", "tsne", "--perplexity", 8, "--json"))
    assert run.json["settings"]["perplexity"] == 8


@pytest.mark.parametrize("dims", [2, 3])
def test_writes_a_table(gallery, aina, tmp_path, dims):
    path = tmp_path / "map.csv"
    run = aina(*arguments("--method", "pca", "--dims", dims, "--csv", path, "--json"))
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["id", *"xyz"[:dims], "label"]
    assert [row[0] for row in rows] == [point["id"] for point in run.json["points"]]
    assert [float(row[1]) for row in rows] == [point["x"] for point in run.json["points"]]
    assert [row[-1] for row in rows] == [f"group {group}" for group in GROUPS]


def test_says_in_a_line_what_it_did(gallery, aina):
    run = aina(*arguments("--method", "pca"))
    assert run.status == 0 and "60 images" in run.out and "trustworthiness" in run.out
    assert "axes" in run.err and "measuring" in run.err


def test_leaves_out_images_whose_file_has_changed(home, tiny, aina, photos):
    assert aina("index", photos, "--gallery", "mine", "--model", MODEL).status == 0
    assert aina("index", photos, "--gallery", "mine", "--model", "tiny@fast").status == 0
    before = aina(*arguments("--method", "pca", "--json")).json["points"]
    (photos / "brick" / "1.jpg").write_bytes((photos / "camera" / "2.jpg").read_bytes())
    # only the other model learns of it
    assert aina("index", photos, "--gallery", "mine", "--model", "tiny@fast").status == 0
    after = aina(*arguments("--method", "pca", "--json")).json["points"]
    assert after == [point for point in before if point["id"] != "brick/1.jpg"]
    assert len(after) == len(before) - 1 == 11


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "mds"], "mds"),
        (["--dims", 4], "dims"),
        (["--neighbours", 1], "neighbours"),
        (["--perplexity", "nan"], "perplexity"),
        (["--seed", "x"], "seed"),
        (["--csv", "."], "folder"),
        (["--csv", "/proc/nowhere/map.csv"], "cannot be written"),
        (["--gallery", "other"], "other"),
        (["--model", "unknown"], "unknown"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else value,
)
def test_says_in_one_line_what_cannot_be(gallery, aina, options, said):
    run = aina(*arguments("--method", "pca", *options, "--json"))
    assert run.status == 2 and not run.out
    assert run.err.strip().splitlines()[-1].startswith("aina: ") and said in run.err


def test_an_empty_gallery(home, tiny, aina):
    gallery_of("mine", MODEL, VECTORS[:0])
    run = aina(*arguments())
    assert run.status == 2 and "empty" in run.err


def test_stopped_it_ends_well_and_stores_nothing(home, tiny):
    gallery_of("mine", MODEL, clusters(4000, 24)[0])
    process = start_tiny(*arguments("--method", "tsne", "--json"))
    try:
        graph = home / "mine" / "models" / MODEL / "graph" / "full" / "manifest.json"
        wait_until(graph.exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out) == {"stopped": True}
    assert not (home / "mine" / "models" / MODEL / "projections").exists()


@pytest.mark.parametrize("where", ["graph", "projections"])
def test_killed_it_leaves_nothing_that_is_half(home, tiny, where):
    gallery_of("mine", MODEL, clusters(3000, 24)[0])
    process = start_tiny(*arguments("--method", "pca" if where == "projections" else "umap"))
    try:
        folder = home / "mine" / "models" / MODEL / where
        wait_until(lambda: (folder.exists() and any(folder.rglob("*.tmp"))) or process.poll() == 0)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    made = project(open_gallery("mine"), MODEL, Settings("pca"))
    again = gallery_of("again", MODEL, clusters(3000, 24)[0])
    assert made.checksum == project(again, MODEL, Settings("pca")).checksum
