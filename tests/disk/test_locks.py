"""Locks of folders: one who works, many who look."""

import fcntl
import shutil
import threading
import time

import pytest

from aina_core.disk.locks import alone, is_busy
from aina_core.errors import GalleryBusyError, StoppedError


def test_one_works_and_others_are_told(tmp_path):
    folder = tmp_path / "new"
    assert not is_busy(folder)
    with alone(folder, "dancing"):
        assert is_busy(folder)
        with pytest.raises(GalleryBusyError, match=r"Another process is dancing; wait"):
            alone(folder, "dancing").__enter__()
        assert is_busy(folder), "who was refused lets nobody else in"
    assert not is_busy(folder)


def test_who_looks_is_not_taken_for_who_works(tmp_path):
    with alone(tmp_path, "testing"):
        pass
    looking = threading.Event()

    def look() -> None:  # as `is_busy` does, but longer
        with (tmp_path / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    with alone(tmp_path, "testing"):
        thread.join()


def test_it_ends_with_an_error_too(tmp_path):
    with pytest.raises(ValueError, match="why"), alone(tmp_path, "failing"):
        raise ValueError("why")
    assert not is_busy(tmp_path)


@pytest.mark.parametrize("removed", ["put aside", "removed", "made anew"])
def test_who_waits_gets_the_lock_of_the_folder_that_is_there_then(tmp_path, removed):
    folder, aside, held = tmp_path / "busy", tmp_path / "aside", threading.Event()

    def work() -> None:
        with alone(folder, "working"):
            held.set()
            time.sleep(0.1)
            folder.rename(aside)
            if removed != "put aside":
                shutil.rmtree(aside)
            if removed == "made anew":
                folder.mkdir()
                (folder / "lock").touch()

    thread = threading.Thread(target=work)
    thread.start()
    held.wait()
    with alone(folder, "waiting"):
        assert folder.is_dir() and is_busy(folder)
    thread.join()


def test_waiting_longer_ends_when_it_is_free_or_stopped(tmp_path):
    held = threading.Event()

    def work() -> None:
        with alone(tmp_path, "working"):
            held.set()
            time.sleep(0.8)

    thread = threading.Thread(target=work)
    thread.start()
    held.wait()
    with (
        pytest.raises(StoppedError, match="another process was waiting"),
        alone(tmp_path, "waiting", patience=60, stop=lambda: True),
    ):
        pass
    with alone(tmp_path, "waiting", patience=60):
        thread.join()
