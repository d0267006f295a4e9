"""What trainings leave behind: deleting it, and what a killed process has left."""

import shutil

import pytest
from trainings import small

from aina_core.errors import UnknownNameError
from aina_core.models import names
from aina_core.models.trained import folder
from aina_core.training import delete, models, train, unfinished
from aina_core.training.checkpoints import Checkpoint, runs_folder
from aina_core.training.data import alone


@pytest.mark.parametrize("name", ["", ".", "..", ".runs", "mine/", "./mine", "../.trained"])
def test_nothing_is_deleted_by_what_is_no_name(searcher, name):
    train(small("adapter", "mine", model="tiny", epochs=1))
    with pytest.raises(UnknownNameError, match="no trained model named"):
        delete(name)
    assert folder().is_dir() and "mine" in names()


def begun(name):
    """Leave a training as one that has begun."""
    checkpoint = Checkpoint(small("siamese", name))
    with alone(checkpoint.folder, "testing"):
        checkpoint.begin("key")
    return checkpoint.folder


def test_what_a_kill_after_the_end_has_left_is_swept(searcher):
    """Killed between putting the model in its place and removing its run."""
    ended, going = begun("done"), begun("going")
    train(small("adapter", "other", model="tiny", epochs=1))
    (folder() / "other").rename(folder() / "done")
    with alone(ended, "testing"):  # as its process may still be at it
        assert [one.name for one in unfinished()] == ["going"] and ended.is_dir()
    assert [one.name for one in unfinished()] == ["going"]
    assert sorted(path.name for path in runs_folder().iterdir()) == ["going"] and going.is_dir()
    assert [one.name for one in models()[0]] == ["done"]


def test_what_a_kill_while_deleting_has_left_is_swept(searcher):
    left = begun("half").rename(runs_folder() / ".deleted-half")
    other = folder() / ".deleted-whole"
    shutil.copytree(left, other)
    begun("half")
    assert [one.name for one in unfinished()] == ["half"]
    assert not left.exists() and not other.exists()


def test_deleting_is_not_in_the_way_of_what_an_earlier_one_left(searcher):
    begun("again").rename(runs_folder() / ".deleted-again")
    path = begun("again")
    delete("again")
    assert not path.exists() and unfinished() == []
