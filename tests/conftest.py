"""What tests share: a home of one's own, real photographs, a tiny model, the demo gallery."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from aina_core.cli import main
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import Embedder, load_embedder
from aina_core.gallery import Gallery, create, update
from aina_core.images import read_image
from aina_core.models import Recipe
from aina_core.models import spec as model_registry
from aina_core.search import Searcher

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import tiny as tiny_model  # noqa: E402  beside this file


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as a condition holds; fail when it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _own_interrupt() -> Iterator[None]:
    """The command line takes Ctrl-C over; give it back to pytest."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AINA_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("AINA_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """40 crops of real photographs, small and of different shapes."""
    found = []
    for photograph in PHOTOGRAPHS[:10]:
        image = read_image(photograph.path())
        width, height = image.size
        for part, (w, h) in enumerate(((120, 90), (90, 120), (100, 100), (150, 60))):
            left, top = (width - w) * part // 4, (height - h) * (3 - part) // 4
            found.append(image.crop((left, top, left + w, top + h)))
    return found


@pytest.fixture(scope="session")
def photo_set(pictures: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 40 crops as JPEG and PNG files in ten folders; not to be changed."""
    folder = tmp_path_factory.mktemp("photos")
    for number, picture in enumerate(pictures):
        path = folder / PHOTOGRAPHS[number // 4].name / f"{number % 4}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path if number % 4 else path.with_suffix(".png"), quality=90)
    return folder


@pytest.fixture
def photos(photo_set: Path, tmp_path: Path) -> Path:
    """A copy of the first twelve of the set, in three folders, to do anything with."""
    folder = tmp_path / "photos"
    for source in sorted(photo_set.rglob("*.*")):
        if source.parent.name in ("astronaut", "brick", "camera"):
            target = folder / source.relative_to(photo_set)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


@pytest.fixture(scope="session")
def _tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    package = tmp_path_factory.mktemp("tiny")
    tiny_model.write_package(package)
    tiny_model.register(package)
    yield SimpleNamespace(package=package, cache=tmp_path_factory.mktemp("cache"))
    model_registry._SPECS.pop(tiny_model.NAME)
    sys.path.remove(str(package))


@pytest.fixture
def tiny(_tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny deterministic model; also known to what `run_tiny` starts."""
    monkeypatch.setenv("AINA_CACHE", str(_tiny.cache))
    monkeypatch.setenv(tiny_model.ENVIRONMENT, str(_tiny.package))
    return tiny_model.NAME


@pytest.fixture
def other_tiny(_tiny: SimpleNamespace, tiny: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a second tiny model, which sees another part of a picture in other colours."""
    name = "other-tiny"
    recipe = Recipe(64, 32, mean=(0.1, 0.9, 0.5), std=(0.6, 0.1, 0.4))
    spec = dataclasses.replace(tiny_model.spec(_tiny.package, name), recipe=recipe)
    monkeypatch.setitem(model_registry._SPECS, name, spec)
    return name


@pytest.fixture
def embedder(tiny: str) -> Embedder:
    """The tiny model, loaded."""
    return load_embedder(tiny, device="cpu")


@pytest.fixture
def searcher(home: Path, photo_set: Path, embedder: Embedder) -> Searcher:
    """The gallery `photos` of the 40 crops, four of each of ten labels, under the tiny model."""
    gallery = create("photos", photo_set)
    update(gallery, embedder)
    return Searcher(gallery, embedder.model)


def start_tiny(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Start the command line with the tiny model in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "tests/tiny.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AINA_HOME with the demo gallery, by real weights, built by the command line."""
    folder = tmp_path_factory.mktemp("demo-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(folder))
        before = signal.getsignal(signal.SIGINT)
        assert main(["demo", "--device", "cpu"]) == 0
        signal.signal(signal.SIGINT, before)
    return folder


@pytest.fixture
def demo_gallery(demo_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the demo gallery, with its home set; not to be changed."""
    monkeypatch.setenv("AINA_HOME", str(demo_home))
    return "demo"


class Run(SimpleNamespace):
    """What a command gave: its exit status, what it printed, and that as JSON."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        import json

        return json.loads(self.out)


@pytest.fixture
def aina(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a command line in this process."""

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        words: Sequence[str] = [str(argument) for argument in arguments]
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Run(status=status, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def gallery(home, photos, embedder) -> Gallery:
    """Twelve photographs, indexed by the tiny model."""
    made = create("mine", photos)
    assert update(made, embedder).added == 12
    return made
