"""Where Spark jobs write: what they may remove, and that two do not write to one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from aina_core.errors import DamagedError, InputError
from aina_core.exchange import MANIFEST
from aina_core.spark import outputs
from aina_core.spark.places import Files
from tests.support.galleries import files_of


def test_elsewhere_only_what_a_job_has_written_is_removed(spark, tmp_path):
    """As on a file system that only Spark knows; here it is this machine's."""
    folder = tmp_path / "out"
    place = f"file://{folder}"

    def opened(kind, overwrite=True):
        return outputs._Elsewhere(Files(spark, place), place, kind, overwrite)

    def taken(kind, said, overwrite=True):
        before = files_of(folder)
        with pytest.raises(InputError, match=said):
            opened(kind, overwrite)
        assert files_of(folder) == before

    output = opened("neighbours")
    frame = spark.createDataFrame([("a", 1)], "id string, rank int")
    frame.write.mode("append").parquet(output.target)
    output.finish({"format": 1, "kind": "neighbours"})
    taken("neighbours", "--overwrite to replace", overwrite=False)
    taken("duplicates", "holds other things")  # finished, but of another kind
    taken(None, "holds other things")
    for theirs in ("letter.txt", "pictures/part-0.parquet", "theirs.parquet"):
        (folder / theirs).parent.mkdir(exist_ok=True)
        (folder / theirs).write_bytes(b"theirs")
        taken("neighbours", "holds other things")
        (folder / outputs._MARK).touch()  # as of a job that was killed
        taken("neighbours", "holds other things")
        (folder / outputs._MARK).unlink()
        (folder / theirs).unlink()
        if (folder / "pictures").exists():
            (folder / "pictures").rmdir()
    output = opened("neighbours")
    assert {path.name for path in folder.iterdir() if path.suffix != ".crc"} == {outputs._MARK}
    (folder / "letter.txt").write_bytes(b"theirs")
    output.abandon()
    assert (folder / "letter.txt").read_bytes() == b"theirs"
    (folder / "letter.txt").unlink()
    output.abandon()
    assert not folder.exists()


def test_two_jobs_do_not_write_to_one_place(tmp_path):
    folder = tmp_path / "results" / "out"
    first = outputs._Here(folder)
    staged = Path(first.target.removeprefix("file://"))
    (staged / "part-0.parquet").write_bytes(b"rows")
    with pytest.raises(InputError, match=r"Another job is writing to .*/out; wait"):
        outputs._Here(folder)
    assert files_of(staged) == {"part-0.parquet": b"rows"}
    first.finish({"format": 1})
    assert set(files_of(folder)) == {"part-0.parquet", MANIFEST}
    second = outputs._Here(folder)  # another is refused again, until this one is done
    with pytest.raises(InputError, match="Another job"):
        outputs._Here(folder)
    second.abandon()
    assert set(files_of(folder)) == {"part-0.parquet", MANIFEST} and not staged.exists()


def test_what_a_killed_job_left_is_swept_away(tmp_path):
    left = tmp_path / ".out.unfinished"
    (left / "_temporary" / "0").mkdir(parents=True)
    (left / "part-0.parquet").write_bytes(b"rows")
    (left / "link").symlink_to(tmp_path)
    again = outputs._Here(tmp_path / "out")
    written = Path(again.target.removeprefix("file://"))
    assert written.is_relative_to(left) and list(written.iterdir()) == []
    assert not (left / "link").exists() and tmp_path.exists()
    again.abandon()
    assert list(tmp_path.iterdir()) == []


def test_results_that_are_not_all_there_are_refused(spark, tmp_path):
    output = outputs._Here(tmp_path / "of [all] {rows}")
    frame = spark.createDataFrame([("a", 1), ("a", 2), ("b", 1)], "id string, rank int")
    frame.write.mode("append").parquet(output.target)
    outputs.check_written(spark, output, 3)
    outputs.check_written(spark, output, 2, "rank = 1")
    with pytest.raises(DamagedError, match="have 3 rows where 4 were expected"):
        outputs.check_written(spark, output, 4)
    output.abandon()
