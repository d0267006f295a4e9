"""The README is true: its Python runs, its commands and variables exist, its pictures are there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from aina_core import cli
from aina_core.disk import paths
from aina_core.gallery import open_gallery

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(demo_gallery, capsys):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 14
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("coffee/" in line for line in lines)


def test_every_command_is_in_the_readme():
    commands = cli.parser()._subparsers._group_actions[0].choices
    for name in commands:
        assert f"python -m aina_core {name}" in README, name


def test_the_way_out_and_in_again_runs(demo_gallery, tmp_path, monkeypatch, aina):
    shutil.copytree(paths.home(), tmp_path / "home")
    monkeypatch.setenv("AINA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^python -m aina_core ((?:export|import) [^#\n]*)", README, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        ran = aina(*shlex.split(line.replace("plates", demo_gallery)))
        assert ran.status == 0, ran.err
    original, copy = open_gallery(demo_gallery), open_gallery("copy")
    assert copy.root == original.root and copy.catalogue.images() == original.catalogue.images()


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_architecture_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`((?:\w+/)*\w+\.(?:py|js|toml))`", text):
        found = [ROOT / name, ROOT / "aina_core" / name]
        assert "NAME" in name or "/" not in name or any(path.exists() for path in found), name


def test_the_variables_are_those_of_the_code():
    code = "".join(path.read_text() for path in (ROOT / "aina_core").rglob("*.py"))
    named = set(re.findall(r'environ\.get\("(AINA_\w+)"', code))
    assert named == set(re.findall(r"^\| `(AINA_\w+)`", README, re.MULTILINE))


def test_every_demo_photograph_is_credited():
    from aina_core import demo

    for photograph in demo.PHOTOGRAPHS:
        assert photograph.name in README, photograph.name


def test_real_weights_find_coffee_by_espresso(demo_gallery, aina):
    run = aina("search", "--class", "espresso", "--json", "-k", 10)
    hits = run.json["neighbours"]
    assert all(hit["label"] == "coffee" for hit in hits) and hits[0]["probability"] > 0.9
    root = open_gallery(demo_gallery).root
    guesses = aina("labels", "--image", root / "coffee" / "original.jpg", "--json").json
    assert guesses["images"][0]["labels"][0]["label"] == "espresso"
