"""Who may know whom: pages → ui → aina_core, heavy libraries in their rooms, rooms in order."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import ROOT

#: The rooms of the core in their order: each may use its own line and those above.
ORDER = [
    {"errors"},
    {"disk", "images"},
    {"jobs", "csv_files"},
    {"models"},
    {"embedding"},
    {"index", "gallery", "search"},
    {"figures", "metrics", "changes"},
    {"explain", "projection", "similarity"},
    {"studies", "duplicates"},
    {"training"},
    {"exchange"},
    {"spark"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
#: Heavy libraries, and the only places that may import them.
KEPT_IN = {
    "torch": ["models", "embedding", "explain", "training", "index/matmul.py"],
    "torchvision": ["models", "embedding", "explain", "training"],
    "timm": ["models", "explain", "training"],
    "open_clip": ["models", "explain", "training"],
    "pytorch_grad_cam": ["explain"],
    "openvino": ["embedding"],
    "annoy": ["index/annoy_index.py"],
    "hnswlib": ["index/hnsw.py"],
    "umap": ["projection"],
    "openTSNE": ["projection"],
    "numba": ["projection"],
    "pytorch_metric_learning": ["training"],
    "pyspark": ["spark"],
    "cv2": ["duplicates/points.py"],
    "streamlit": [],
}
CORE = sorted((ROOT / "aina_core").rglob("*.py"))
LEVELS = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names that a file imports, anywhere in it, but for the eyes of a type checker."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def room(parts: list[str]) -> str:
    """Of a file's parts, or of an imported name's, below aina_core."""
    return parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_no_screen_and_keeps_its_order(path):
    assert not tops(path) & {"ui", "pages", "streamlit", "app"}
    inside = path.relative_to(ROOT / "aina_core").as_posix()
    own = room(inside.split("/"))
    if own == "__init__":
        return
    assert own in LEVELS, f"give {own} its place in ORDER"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "aina_core" and parts[1:] and not parts[1].startswith("__"):
            used = room(parts[1:])
            assert used in LEVELS, f"{inside} imports the unknown room {used}"
            assert LEVELS[used] <= LEVELS[own], f"{inside} imports {used}, which comes later"


@pytest.mark.parametrize("library", KEPT_IN)
def test_heavy_libraries_stay_in_their_rooms(library):
    for path in CORE:
        if library in tops(path):
            inside = path.relative_to(ROOT / "aina_core").as_posix()
            allowed = [place for place in KEPT_IN[library] if _within(inside, place)]
            assert allowed, f"{inside} imports {library}; that is for {KEPT_IN[library]}"


def _within(inside: str, place: str) -> bool:
    return inside in (place, f"{place}.py") or inside.startswith(f"{place}/")


def test_pages_know_ui_and_core_and_not_each_other():
    for path in sorted((ROOT / "pages").rglob("*.py")):
        assert not tops(path) & {"app", "torch", "annoy"}, name_of(path)
        own = path.parent.name
        for name in imports(path):
            assert not name.startswith("pages.") or name.split(".")[1] == own, name_of(path)


def test_ui_knows_no_page():
    for path in sorted((ROOT / "ui").rglob("*.py")):
        assert not tops(path) & {"pages", "app", "torch", "annoy"}, name_of(path)


def test_caching_is_in_one_place():
    for path in [*(ROOT / "ui").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]:
        if not path.name.endswith("cache.py"):
            assert "st.cache_" not in path.read_text(), name_of(path)


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_nothing_is_unpickled(path):
    assert not tops(path) & {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg in ("weights_only", "allow_pickle"):
            assert ast.unparse(node.value) == str(node.arg == "weights_only")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert "weights_only" in {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_only_the_command_line_prints_and_exits(path):
    if "cli" in path.parts or path.name == "__main__.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "sys.exit", "exit", "quit")


def test_importing_the_core_is_light():
    modules = [
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in CORE
        if path.name != "__main__.py"
    ]
    heavy = [*KEPT_IN, "pandas", "scipy", "sklearn", "skimage", "matplotlib", "plotly", "pilgram"]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    found = set({heavy!r}) & set(sys.modules)\n"
        "    assert not found, f'importing {name} imports {found}'\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
