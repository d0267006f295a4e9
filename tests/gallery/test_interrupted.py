"""A run is killed, and others read and write meanwhile."""

import contextlib
import fcntl
import itertools
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from aina_core.embedding import load_embedder
from aina_core.errors import GalleryBusyError
from aina_core.gallery import create, open_gallery, update
from aina_core.gallery.update import CHUNK
from aina_core.gallery.verify import verify
from tests.support.galleries import bring_up, stored
from tests.support.process import start_tiny, wait_until

# ── killed ───────────────────────────────────────────────────────────────────────────────────────

COUNT = 700


@pytest.fixture(scope="module")
def many(pictures, tmp_path_factory) -> Path:
    """700 different small pictures, some bad files among them."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(COUNT):
        picture = pictures[number % 40].rotate(number // 40 * 15)
        picture.save(folder / f"{number * 7919 % COUNT:04}.jpg")
    for number in range(5):
        (folder / f"{number * 100:04}-bad.jpg").write_bytes(b"bad")
    return folder


@pytest.fixture(scope="module")
def undisturbed(many, _tiny, tmp_path_factory) -> tuple[bytes, ...]:
    """What is stored of them when nothing happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(tmp_path_factory.mktemp("whole")))
        patch.setenv("AINA_CACHE", str(_tiny.cache))
        made = create("whole", many)
        assert bring_up(made, load_embedder("tiny", device="cpu")) == (COUNT, 0, 0, 0)
        return stored(made, "tiny")


def rows_in_journal(home: Path) -> int:
    """How many rows of the gallery "killed" have reached the disk."""
    with contextlib.suppress(OSError):
        journal = home / "killed" / "models" / "tiny" / "journal.f32"
        return journal.stat().st_size // ((24 + 1) * 4)  # a row and its norm
    return 0


def test_killed_at_any_moment_it_ends_byte_identical(undisturbed, many, home, embedder):
    choose = random.Random(0)
    kills, lost = 0, 0
    for attempt in range(4):
        process = start_tiny("index", many, "--gallery", "killed", "--model", "tiny")
        before = rows_in_journal(home)
        wanted = before + choose.choice((1, CHUNK + 1)) if attempt else 0
        wait_until(
            lambda wanted=wanted, process=process: (
                (rows_in_journal(home) >= wanted and (home / "killed" / "lock").exists())
                or process.poll() is not None
            )
        )
        if attempt % 2:  # not only just after a chunk
            with contextlib.suppress(Exception):
                process.wait(choose.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        found = rows_in_journal(home)
        assert found >= before or process.returncode == 0
        lost = max(lost, COUNT - found)
        if process.returncode == 0:
            break
    assert kills >= 2
    resumed = open_gallery("killed")
    report = update(resumed, embedder)
    assert len(report.failed) == 5
    assert stored(resumed, "tiny") == undisturbed
    assert verify(resumed) == []
    leftovers = {path.name for path in resumed.store("tiny").folder.iterdir() if path.is_file()}
    assert leftovers == {"manifest.json", *resumed.manifest("tiny")["files"]}


def test_a_kill_costs_at_most_what_was_in_flight(many, home, embedder, monkeypatch):
    """Where a process is cut off, everything that it has not put on the disk is lost."""

    class KilledError(BaseException):
        pass

    calls = []
    launch = embedder.runtime.launch

    def counted(pictures):
        calls.append(len(pictures))
        if len(calls) == 500:
            raise KilledError
        return launch(pictures)

    made = create("cut", many)
    monkeypatch.setattr(embedder.runtime, "launch", counted)
    with pytest.raises(KilledError):
        update(made, embedder)
    update(made, embedder)
    assert len(calls) - 1 - COUNT <= 256
    assert len(made.vectors("tiny").ids) == COUNT


@pytest.mark.parametrize("damage", ["cut", "flip", "no line", "foreign", "garbage"])
def test_a_damaged_journal_is_not_believed(damage, undisturbed, many, home, embedder):
    made = create("hurt", many)
    seen = itertools.count()
    with pytest.raises(RuntimeError, match="enough"):
        update(made, embedder, progress=lambda *_: _raise() if next(seen) > 400 else None)
    folder = made.store("tiny").folder
    data, lines = folder / "journal.f32", folder / "journal.jsonl"
    assert len(lines.read_text().splitlines()) == 4  # the head and three chunks
    if damage == "cut":
        os.truncate(data, data.stat().st_size - 10)
    elif damage == "flip":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif damage == "no line":
        os.truncate(lines, lines.stat().st_size - 1)
    elif damage == "foreign":
        lines.write_text(lines.read_text().replace('"precision": "f32"', '"precision": "f8"'))
    else:
        lines.write_bytes(os.urandom(3000))
    assert bring_up(made, embedder) == (COUNT, 0, 0, 0)
    assert stored(made, "tiny") == undisturbed


def _raise() -> None:
    raise RuntimeError("enough")


# ── others ───────────────────────────────────────────────────────────────────────────────────────


def test_a_second_writer_is_refused(gallery, embedder):
    with gallery.lock():
        for attempt in (
            lambda: update(gallery, embedder),
            lambda: gallery.rename("other"),
            gallery.delete,
            lambda: gallery.delete_model("tiny"),
        ):
            with pytest.raises(GalleryBusyError, match="Another process is writing"):
                attempt()
        assert len(gallery.vectors("tiny").ids) == 12  # readers go on
    assert bring_up(gallery, embedder) == (0, 0, 0, 12)


def test_a_second_writing_process_exits_2_with_one_sentence(gallery, photos):
    with gallery.lock():
        process = start_tiny("index", photos, "--gallery", "mine", "--model", "tiny", "--json")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and out == b""
    last = err.decode().strip().splitlines()[-1]
    assert last.startswith("aina: Another process is writing to the gallery mine")
    assert "Traceback" not in err.decode()


def test_readers_see_the_old_or_the_new(gallery, embedder, photos, pictures):
    """One writer switches generations; readers open, verify and compare all the while."""
    versions = {}
    for number in (30, 31):
        pictures[number].save(photos / "brick" / "1.jpg")
        bring_up(gallery, embedder)
        vectors = gallery.vectors("tiny")
        versions[vectors.checksum] = (vectors.checksums, np.array(vectors.matrix))
    ends = threading.Event()

    def read() -> int:
        count = 0
        while not ends.is_set():
            vectors = gallery.vectors("tiny")
            checksums, matrix = versions[vectors.checksum]
            assert vectors.checksums == checksums and (vectors.matrix == matrix).all()
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(40):
                pictures[30 + number % 2].save(photos / "brick" / "1.jpg")
                os.utime(photos / "brick" / "1.jpg", (number, number))
                bring_up(gallery, embedder)
        finally:
            ends.set()
        assert all(reader.result() > 5 for reader in readers)


def test_a_reader_between_two_looks_tries_again(gallery, embedder, photos, pictures, monkeypatch):
    """The generation that a reader has just verified is gone when it opens the files."""
    store = gallery.store("tiny")
    load, switched = store._load, []

    def slow(manifest):
        if not switched:
            switched.append(True)
            pictures[30].save(photos / "brick" / "1.jpg")
            update(gallery, embedder)
        return load(manifest)

    monkeypatch.setattr(store, "_load", slow)
    assert store.open().checksum == gallery.vectors("tiny").checksum


def test_an_open_generation_outlives_its_files(gallery, embedder, photos, pictures):
    vectors = gallery.vectors("tiny")
    before = np.array(vectors.matrix)
    pictures[30].save(photos / "brick" / "1.jpg")
    bring_up(gallery, embedder)
    assert (vectors.matrix == before).all()


def test_the_lock_is_free_when_its_holder_is_gone(gallery, embedder):
    descriptor = os.open(gallery.folder / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(GalleryBusyError):
        update(gallery, embedder)
    os.close(descriptor)
    update(gallery, embedder)
