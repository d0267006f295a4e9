"""What tests share: a home of one's own, real photographs, a tiny model, the demo gallery."""

from __future__ import annotations

import os

# As many processes as cores: a second layer of threads would only make them wait. And with several
# threads some builds of torch crash in convolutions of as few channels as the tests' networks have.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import dataclasses
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from PIL import Image

from aina_core.cli import main
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import Embedder, load_embedder
from aina_core.gallery import Gallery, create, open_gallery, update
from aina_core.images import read_image
from aina_core.models import ModelSpec, Recipe
from aina_core.models import spec as model_registry
from aina_core.search.searcher import Searcher
from tests.support import studies as studied_settings
from tests.support import tiny as tiny_model
from tests.support.order import pytest_collection_modifyitems  # noqa: F401
from tests.support.spark import spark_session  # noqa: F401  a fixture

OTHER_TINY = "other-tiny"


@pytest.fixture(autouse=True)
def _own_interrupt() -> Iterator[None]:
    """The command line takes Ctrl-C over; give it back to pytest."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _no_fetched_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has fetched on this machine changes no test."""
    monkeypatch.setenv("AINA_WEIGHTS", "/nonexistent/aina-weights")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AINA_HOME, of which no page has cached anything."""
    folder = tmp_path / "home"
    monkeypatch.setenv("AINA_HOME", str(folder))
    if "streamlit" in sys.modules:
        import streamlit

        streamlit.cache_resource.clear()
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
    monkeypatch.setitem(model_registry._SPECS, OTHER_TINY, _other_spec(_tiny))
    return OTHER_TINY


def _other_spec(tiny: SimpleNamespace) -> ModelSpec:
    recipe = Recipe(64, 32, mean=(0.1, 0.9, 0.5), std=(0.6, 0.1, 0.4))
    return dataclasses.replace(tiny_model.spec(tiny.package, OTHER_TINY), recipe=recipe)


@pytest.fixture
def wordy(_tiny: SimpleNamespace, tiny: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny model that has a text tower and no classes."""
    name = "wordy"
    spec = dataclasses.replace(
        tiny_model.spec(_tiny.package, name),
        network=tiny_model.wordy_network,
        classes="",
        text=True,
    )
    monkeypatch.setitem(model_registry._SPECS, name, spec)
    return name


@pytest.fixture(scope="session")
def indexed(photo_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Gallery]:
    """Put a gallery of the 40 crops, by some models, into an empty home: made once, then copied."""
    kept: dict[tuple[str, ...], Path] = {}

    def fill(home: Path, gallery: str, *names: str) -> Gallery:
        if (known := (gallery, *names)) in kept:
            shutil.copytree(kept[known], home, dirs_exist_ok=True)
            return open_gallery(gallery)
        made = create(gallery, photo_set)
        for name in names:
            update(made, load_embedder(name, device="cpu"))
            Searcher(made, name)  # which builds the index
        kept[known] = shutil.copytree(home, tmp_path_factory.mktemp("kept") / "home")
        return made

    return fill


@pytest.fixture
def by_two_models(home: Path, tiny: str, wordy: str, indexed: Callable[..., Gallery]) -> Gallery:
    """The gallery `mine` of the 40 crops, by a model with classes and one with words."""
    return indexed(home, "mine", tiny, wordy)


@pytest.fixture
def by_both(home: Path, tiny: str, other_tiny: str, indexed: Callable[..., Gallery]) -> Gallery:
    """The gallery `mine` of the 40 crops, by both tiny models."""
    return indexed(home, "mine", tiny, other_tiny)


@pytest.fixture
def embedder(tiny: str) -> Embedder:
    """The tiny model, loaded."""
    return load_embedder(tiny, device="cpu")


@pytest.fixture
def searcher(home: Path, tiny: str, indexed: Callable[..., Gallery]) -> Searcher:
    """The gallery `photos` of the 40 crops, four of each of ten labels, under the tiny model."""
    return Searcher(indexed(home, "photos", tiny), tiny)


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AINA_HOME with the demo gallery, by real weights, built by the command line; a copy of
    what the first of several workers builds."""
    base = tmp_path_factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    with FileLock(built.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if not built.exists():
            making = built.with_suffix(".making")
            patch.setenv("AINA_HOME", str(making))
            before = signal.getsignal(signal.SIGINT)
            assert main(["demo", "--device", "cpu"]) == 0
            signal.signal(signal.SIGINT, before)
            making.rename(built)
    return shutil.copytree(built, base / "demo-home")


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


@pytest.fixture(scope="session")
def studied(
    _tiny: SimpleNamespace, photo_set: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A home with the gallery `photos` of the 40 crops under both tiny models, and one study of
    each kind; not to be changed. Its models are known where `other_tiny` is asked for."""
    from aina_core import studies

    folder = tmp_path_factory.mktemp("studied")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(folder))
        patch.setenv("AINA_CACHE", str(_tiny.cache))
        patch.setitem(model_registry._SPECS, OTHER_TINY, _other_spec(_tiny))
        gallery = create("photos", photo_set)
        for model in studied_settings.TWO:
            update(gallery, load_embedder(model, device="cpu"))
        runs = {kind: studies.run(studied_settings.settings(kind)) for kind in studies.KINDS}
    return SimpleNamespace(home=folder, gallery=gallery, runs=runs)
