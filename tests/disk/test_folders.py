"""What killed processes leave behind: the next operation of the kind sweeps it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aina_core.disk import folders
from aina_core.disk.locks import alone
from aina_core.exchange import import_vectors, open_source
from tests.support.process import ROOT

MODEL = "external:net"
BEFORE = """
import sys, time
from pathlib import Path
from aina_core.disk import paths

hangs, name = sys.argv[1] == "hang", sys.argv[2]
base = paths.home().parent

def middle(*_):
    if hangs:
        print("in the middle", flush=True)
        time.sleep(600)
"""
#: What a process does, with a call of `middle` in the middle of it.
OPERATIONS = {
    "upload": """
from aina_core.gallery import open_gallery
from aina_core.gallery.uploads import gallery_from_files

def files():
    yield "a.png", b"a"
    middle()
    yield "b.png", b"b"

made = gallery_from_files(name, files())
assert sorted(path.name for path in made.root.iterdir()) == ["a.png", "b.png"]
""",
    "import": """
from aina_core.exchange import import_vectors, open_source

source = open_source(base / "vectors.npy", model="external:net")
report = import_vectors(source, name, progress=lambda _, done, total: done and middle())
assert report.rows == 30
""",
    "export": """
from aina_core.exchange import export
from aina_core.gallery import open_gallery

out, there = base / "out" / name, open_gallery("there")
export(there, "external:net", out, progress=lambda _, done, total: done and middle())
assert sorted(path.name for path in out.iterdir()) == ["_aina.json", "part-00000.parquet"]
""",
    "fetch": """
import dataclasses, os
from aina_core import models
from aina_core.models.weights import FolderFile
from tests.support import tiny

package = Path(os.environ[tiny.ENVIRONMENT])
published = package / tiny.PACKAGE / "tiny.pth"
sys.path.insert(0, str(package))

def load(network, path):
    tiny.load(network, path)
    middle()

weights = FolderFile("fetched", f"{name}.pth", published.as_uri(), "")
models.register(
    dataclasses.replace(tiny.spec(package, "fetched"), weights=weights, load=load)
)
assert models.fetch("fetched").read_bytes() == published.read_bytes()
""",
    "conversion": """
import os
import openvino
from aina_core.embedding.conversion import converted
from tests.support import tiny

save = openvino.save_model

def saved(*given, **options):
    save(*given, **options)
    middle()

openvino.save_model = saved
spec = tiny.register(Path(os.environ[tiny.ENVIRONMENT]))
folder = converted(spec)
assert {path.name for path in folder.iterdir()} == {"manifest.json", "model.bin", "model.xml"}
""",
    "study": """
from aina_core.studies import store
from tests.support.studies import settings

save = store.arrays.save

def saved(*given):
    save(*given)
    middle()

store.arrays.save = saved
about = {"gallery": {}, "verdict": "", "versions": {}, "models": {}, "seconds": 1}
run = store.save(settings("modifications", models=["resnet18"]), {"found": name}, [], {}, **about)
assert store.load(run.id).results == {"found": name}
""",
    "deletion": """
import shutil
from aina_core.gallery import create, galleries

remove = shutil.rmtree

def removed(*given, **options):
    middle()
    remove(*given, **options)

create(name, None)
shutil.rmtree = removed
create(name, None).delete()
assert name not in galleries()
""",
}


@pytest.fixture
def base(home, tiny, tmp_path, monkeypatch) -> Path:
    """A folder with all that AINA keeps in it, and a gallery of imported vectors."""
    monkeypatch.setenv("AINA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AINA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AINA_WEIGHTS", str(tmp_path / "weights"))
    rows = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", rows)
    import_vectors(open_source(tmp_path / "vectors.npy", model=MODEL), "there")
    return tmp_path


def start(kind: str, how: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEFORE + OPERATIONS[kind], how, name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def hidden(base: Path) -> set[Path]:
    return {path for path in base.rglob(".*") if path.is_dir() and path.name.startswith(".aina-")}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_what_a_killed_process_left_is_swept_by_the_next(kind, base):
    process = start(kind, "hang", "first")
    assert process.stdout.readline() == "in the middle\n"
    (left,) = hidden(base)
    if kind != "deletion":  # helping a living one to remove what nobody sees any more is no harm
        assert start(kind, "run", "second").wait() == 0
        assert hidden(base) == {left} and any(left.iterdir()), "a living one's is not swept"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert hidden(base) == {left}
    if kind == "conversion":  # the second has made it already; only a new one is made again
        (made,) = (base / "cache" / "openvino").glob("tiny-*")
        (made / "model.bin").write_bytes(b"")
    assert start(kind, "run", "first" if kind != "deletion" else "other").wait() == 0
    assert not hidden(base)


def test_what_earlier_versions_left_is_swept_in_the_home_only(home, tmp_path):
    for parent in (home, tmp_path / "theirs"):
        for name in (".upload-x1", ".deleted-3-mine", ".importing-ab", ".new-x"):
            (parent / name / "deep").mkdir(parents=True)
        folders.sweep(parent)
    assert not any(home.iterdir()) and len(list((tmp_path / "theirs").iterdir())) == 4


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "new" / "place"
    with pytest.raises(ValueError, match="why"), folders.making(place) as made:
        (made / "file").write_text("half")
        raise ValueError("why")
    assert list(place.parent.iterdir()) == []
    with folders.making(place) as made:
        (made / "file").write_text("whole")
        assert not place.exists()
    assert [path.name for path in place.parent.iterdir()] == ["place"]
    with pytest.raises(FileExistsError), folders.making(place) as made:
        (made / "file").write_text("other")
    assert (place / "file").read_text() == "whole"
    with folders.workspace(place.parent) as made:
        (made / "file").write_text("other")
        folders.put_in_place(made, place, replace=True)
    assert (place / "file").read_text() == "other"
    assert [path.name for path in place.parent.iterdir()] == ["place"]


def test_what_was_not_used_for_long_is_discarded_but_not_under_who_uses_it(tmp_path):
    for name in ("unused", "held", "new"):
        (tmp_path / name).mkdir()
    with alone(tmp_path / "held", "testing"):
        for name in ("unused", "held"):
            os.utime(tmp_path / name, (1e9, 1e9))
        folders.sweep_unused(tmp_path, 60)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["held", "new"]
