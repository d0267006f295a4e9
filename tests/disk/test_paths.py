"""Where AINA keeps things, all-or-nothing writes, and the folders that the app may read."""

from pathlib import Path

import pytest

from aina_core.disk import paths
from aina_core.disk.paths import allowed_folder, read_json, replacing, write_json
from aina_core.errors import DamagedError, InputError
from tests.support.process import ROOT


def test_without_settings_folders_are_the_checkouts_and_the_systems(tmp_path, monkeypatch):
    for name in ("AINA_HOME", "AINA_CACHE", "AINA_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert paths.home() == ROOT / "precomputed"
    assert paths.cache() == Path.home() / ".cache" / "aina"
    assert paths.weights() == paths.cache() / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert paths.cache() == tmp_path / "aina" and paths.weights() == tmp_path / "aina" / "weights"
    for name in ("AINA_HOME", "AINA_CACHE", "AINA_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    found = [paths.home(), paths.cache(), paths.weights()]
    assert [path.name for path in found] == ["AINA_HOME", "AINA_CACHE", "AINA_WEIGHTS"]


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "deep" / "file"
    with replacing(path) as file:
        file.write(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_write_that_fails_keeps_the_old_and_leaves_nothing(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_rename_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError), replacing(path) as file:
        file.write(b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_json_comes_back_or_is_said_to_be_damaged(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"ä": [1, None]})
    assert read_json(path) == {"ä": [1, None]}
    for content in (b"", b"[1]", b"{", b"\xff\xfe", b"1" * 5000):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"x\.json"):
            read_json(path)
    with pytest.raises(DamagedError):
        read_json(tmp_path / "none.json")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The one allowed folder, beside one that is not."""
    for folder in ("root/inside/deep", "root-beside", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "root" / "file.jpg").touch()
    monkeypatch.setenv("AINA_ROOTS", str(tmp_path / "root"))
    return tmp_path / "root"


def test_folders_below_a_root_are_allowed(root):
    for text in ("", "/inside", "/inside/deep/", "/inside/../inside", "/./inside//deep"):
        assert allowed_folder(f" {root}{text} ").is_relative_to(root)


def test_every_root_counts_and_a_home_is_one_by_default(root, tmp_path, monkeypatch):
    monkeypatch.setenv("AINA_ROOTS", f"{root}:{tmp_path / 'outside'}:")
    assert allowed_folder(str(tmp_path / "outside")) == tmp_path / "outside"
    monkeypatch.delenv("AINA_ROOTS")
    monkeypatch.setenv("HOME", str(root))
    assert paths.roots() == [root]
    assert allowed_folder("~/inside") == root / "inside"


def test_a_link_counts_as_what_it_leads_to(root, tmp_path):
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "in").symlink_to(root / "inside")
    (tmp_path / "back").symlink_to(root)
    (root / "loop").symlink_to(root / "loop")
    assert allowed_folder(f"{root}/in/deep") == root / "inside" / "deep"
    assert allowed_folder(f"{tmp_path}/back/inside") == root / "inside"
    for text in (f"{root}/out", f"{root}/loop", f"{root}/out/../outside"):
        with pytest.raises(InputError):
            allowed_folder(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/",
        "..",
        "relative",
        "~nobody-of-this-name/x",
        "a\0b",
        "/x" * 5000,
        "\udcff",
        "~\0",
    ],
)
def test_what_is_no_folder_below_a_root_is_refused(root, text):
    with pytest.raises(InputError) as caught:
        allowed_folder(text)
    assert "\0" not in str(caught.value)


def test_one_sentence_whether_a_folder_outside_exists_or_not(root, tmp_path):
    def answer(text):
        with pytest.raises(InputError) as caught:
            allowed_folder(text)
        return str(caught.value).replace(text, "…")

    (tmp_path / "secret.txt").touch()
    inside = [f"{root}/file.jpg", f"{root}/none"]
    outside = ["outside", "none", "root-beside", "secret.txt", "root/../outside", "root/../none"]
    sentences = {answer(text) for text in [*inside, *(f"{tmp_path}/{name}" for name in outside)]}
    assert len(sentences) == 1
