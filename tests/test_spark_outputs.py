"""Where Spark jobs write: what they may remove, and that two do not write to one place."""

from __future__ import annotations

import pytest
from galleries import files_of

from aina_core.errors import InputError
from aina_core.jobs import outputs
from aina_core.jobs.files import Files


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
