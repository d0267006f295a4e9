"""Jobs: real worker processes, their progress, their end, and what is left when they are killed."""

import contextlib
import fcntl
import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest

from aina_core import jobs
from aina_core.errors import InputError
from aina_core.gallery import open_gallery
from tests.support.process import start_tiny, wait_until


def job(job_id: str) -> jobs.Job:
    return next(found for found in jobs.jobs() if found.id == job_id)


def ended(job_id: str) -> jobs.Job:
    wait_until(lambda: not job(job_id).active)
    return job(job_id)


@pytest.fixture
def folder(pictures, tmp_path) -> Path:
    """Enough large files that a job is not over at once."""
    made = tmp_path / "large"
    made.mkdir()
    for number in range(160):
        picture = pictures[number % 40].rotate(number // 40 * 20)
        picture.resize((900, 900)).save(made / f"{number:03}.jpg")
    return made


@pytest.fixture
def tiny_jobs(tiny, monkeypatch):
    """Jobs know the tiny model."""
    popen = jobs.subprocess.Popen

    def start(command, **options):
        assert command[1:3] == ["-m", "aina_core"]
        environment = {**options.pop("env"), "PYTHONPATH": str(options["cwd"])}
        words = [command[0], "tests/support/tiny.py", *command[3:]]
        return popen(words, env=environment, **options)

    monkeypatch.setattr(jobs.subprocess, "Popen", start)


def index_of(folder: Path) -> list[str]:
    return ["index", str(folder), "--gallery", "mine", "--model", "tiny", "--device", "cpu"]


def worker(folder: Path) -> int:
    """The process that indexes a folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes().split(b"\0"):
                return int(path.parent.name)
    raise AssertionError("no process works on the folder")


def test_a_job_runs_shows_progress_and_ends(home, folder, tiny_jobs):
    job_id = jobs.start("Index mine", index_of(folder))
    seen = []
    wait_until(lambda: seen.append(job(job_id)) or not seen[-1].active)
    assert seen[0].state == "running" and seen[0].title == "Index mine"
    during = [found for found in seen if found.active and found.phase == "embedding"]
    assert any(0 < found.done < 160 and found.total == 160 for found in during)
    assert all(a.done <= b.done for a, b in itertools.pairwise(during))
    assert any(found.rate > 0 and found.seconds_left is not None for found in during)
    last = seen[-1]
    assert last.state == "done" and last.message.startswith("mine under tiny: 160 added")
    assert jobs.describe(last) == last.message
    assert len(open_gallery("mine").vectors("tiny").ids) == 160
    jobs.forget(job_id)
    assert jobs.jobs() == []


def test_stop_and_resume(home, folder, tiny_jobs):
    job_id = jobs.start("Index mine", index_of(folder))
    wait_until(lambda: job(job_id).phase == "embedding" and job(job_id).done > 0)
    with pytest.raises(InputError, match="still running"):
        jobs.forget(job_id)
    jobs.stop(job_id)
    assert job(job_id).state in ("stopping", "stopped")
    assert ended(job_id).state == "stopped"
    count = len(open_gallery("mine").vectors("tiny").ids)
    assert 0 < count < 160
    again = jobs.resume(job_id)
    assert [found.id for found in jobs.jobs()] == [again]
    last = ended(again)
    assert last.state == "done" and f"{160 - count} added" in last.message
    assert f"{count} unchanged" in last.message


def test_the_systems_request_to_end_is_a_stop(home, folder, tiny_jobs):
    job_id = jobs.start("Index mine", index_of(folder))
    wait_until(lambda: job(job_id).phase == "embedding" and job(job_id).done > 0)
    os.kill(worker(folder), signal.SIGTERM)
    assert ended(job_id).state == "stopped"


def test_a_killed_job_is_said_to_have_died_and_can_be_resumed(home, folder, tiny_jobs):
    job_id = jobs.start("Index mine", index_of(folder))
    journal = home / "mine" / "models" / "tiny" / "journal.f32"
    wait_until(lambda: journal.exists() and journal.stat().st_size > 0)
    os.kill(worker(folder), signal.SIGKILL)
    assert ended(job_id).state == "died"
    last = ended(jobs.resume(job_id))
    assert last.state == "done" and "160 added" in last.message


def test_a_job_that_cannot_do_its_work_says_why(home, tmp_path):
    job_id = jobs.start("Index", ["index", str(tmp_path / "gone"), "--gallery", "mine"])
    last = ended(job_id)
    assert last.state == "failed"
    assert last.message.startswith(f"The folder {tmp_path / 'gone'} is missing")
    assert last.arguments == ("index", str(tmp_path / "gone"), "--gallery", "mine")
    log = (home / ".jobs" / job_id / "log").read_text()
    assert log == f"aina: {last.message}\n"


def test_an_ended_job_leaves_no_defunct_process(home):
    def children() -> set[int]:
        return {
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/stat")
            if _status(path)[1:2] == [str(os.getpid())]
        }

    before = children()
    assert ended(jobs.start("Models", ["models"])).state == "done"
    wait_until(lambda: children() <= before)


def _status(path: Path) -> list[str]:
    """What the system says of a process: its state, its parent, and more."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return []


def test_a_job_is_running_from_the_start_for_whoever_looks(home):
    folder = put(home, "1-new")
    (folder / "lock").unlink()
    assert job("1-new").state == "running", "its process has not come to its lock yet"
    os.utime(folder / "job.json", (1e9, 1e9))
    assert job("1-new").state == "died"


def test_a_job_that_nobody_understands_has_failed_at_once(home):
    job_id = jobs.start("Nonsense", ["index", "--nonsense"])
    assert ended(job_id).state == "failed"


def test_unknown_jobs(home):
    for act in (jobs.stop, jobs.resume, jobs.forget):
        for job_id in ("1-2", "../../etc", ""):
            with pytest.raises(InputError, match="no such job"):
                act(job_id)
    assert jobs.jobs() == []


# ── what lies in the folder ──────────────────────────────────────────────────────────────────────


def put(home: Path, job_id: str, **files: object) -> Path:
    folder = home / ".jobs" / job_id
    folder.mkdir(parents=True)
    content = {"job": {"title": job_id, "arguments": ["models"]}, **files}
    for name, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / f"{name}.json").write_text(text)
    (folder / "lock").touch()
    return folder


@pytest.mark.parametrize(
    "files",
    [
        {"job": "{"},
        {"job": "[]"},
        {"job": {"title": "without arguments"}},
        {"job": {"title": "a", "arguments": 3}},
        {"progress": "\0\0"},
        {"progress": {"done": "many", "total": None}},
        {"progress": '{"done": 1e999}'},
        {"progress": '{"updated": {}}'},
        {"result": "garbage"},
        {"result": {"status": ["odd"]}},
    ],
)
def test_the_list_survives_corrupt_files(files, home):
    put(home, "2-b", **files)
    put(home, "1-a", result={"status": 0, "message": "fine"})
    (home / ".jobs" / "3-c").mkdir()
    (home / ".jobs" / "4-d").touch()
    found = {entry.id: entry for entry in jobs.jobs()}
    assert found["1-a"].state == "done" and found["1-a"].message == "fine"
    assert set(found) <= {"1-a", "2-b"}
    for entry in found.values():
        assert isinstance(jobs.describe(entry), str)


def test_states(home):
    put(home, "1-done", result={"status": 0, "message": ""})
    put(home, "2-failed", result={"status": 2, "message": "why"})
    put(home, "3-died")
    put(home, "4-stopped", result={"status": 0, "message": ""}).joinpath("stop").touch()
    running = put(home, "5-running", progress={"phase": "embedding", "done": 5, "total": 20})
    with (running / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        states = [found.state for found in jobs.jobs()]
    assert states == ["running", "stopped", "died", "failed", "done"]


def test_two_who_look_at_once_do_not_take_each_other_for_the_worker(home, monkeypatch):
    put(home, "1-done", result={"status": 0, "message": ""})
    flock, states = fcntl.flock, []

    def look_meanwhile(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        monkeypatch.setattr(fcntl, "flock", flock)
        states.append(job("1-done").state)

    monkeypatch.setattr(fcntl, "flock", look_meanwhile)
    assert job("1-done").state == "done" and states == ["done"]


def test_only_the_newest_jobs_are_kept(home):
    for number in range(30):
        put(home, f"{number:02}-x", result={"status": 0, "message": ""})
    job_id = jobs.start("Models", ["models"])
    assert len(jobs.jobs()) == jobs._KEPT_JOBS
    assert ended(job_id).state == "done"


def test_durations():
    assert [jobs.duration(s) for s in (0, 45, 200, 7800)] == ["0 s", "45 s", "3 min", "2 h 10 min"]


def test_a_reporter_writes_now_and_then(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    reporter = jobs.Reporter(tmp_path)
    signal.signal(signal.SIGTERM, before)
    started = time.monotonic()
    writes = set()
    for number in range(2000):
        reporter.progress("embedding", number, 5000)
        writes.add((tmp_path / "progress.json").stat().st_ino)
    assert len(writes) <= 2 + (time.monotonic() - started) / 0.2
    reporter.progress("embedding", 5000, 5000)
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 5000
    assert not reporter.stop()
    (tmp_path / "stop").touch()
    assert reporter.stop()


def test_ctrl_c_stops_a_command_in_the_terminal(home, folder, tiny):
    process = start_tiny(*index_of(folder))
    journal = home / "mine" / "models" / "tiny" / "journal.f32"
    wait_until(lambda: journal.exists() and journal.stat().st_size > 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"stopped" in out and b"Traceback" not in err
    assert 0 < len(open_gallery("mine").vectors("tiny").ids) <= 160
