"""Who may know whom: pages → ui → aina_core, heavy libraries in their rooms, rooms in order."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import ROOT

#: The rooms of the core in their order: each may use those before it.
ORDER = [
    *("errors", "progress", "numbers", "disk", "csv_files", "images", "metrics", "figures"),
    *("models", "embedding", "index", "gallery", "search", "changes"),
    *("projection", "similarity", "explain", "duplicates", "studies", "training"),
    *("exchange", "spark", "jobs", "demo", "cli", "__main__"),
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
    "usearch": ["index/usearch_index.py"],
    "umap": ["projection"],
    "openTSNE": ["projection"],
    "numba": ["projection"],
    "pytorch_metric_learning": ["training"],
    "pyspark": ["spark"],
    "cv2": ["duplicates/points.py"],
    "streamlit": [],
}
CORE = sorted((ROOT / "aina_core").rglob("*.py"))
SCREEN = sorted([*(ROOT / "ui").rglob("*.py"), *(ROOT / "pages").rglob("*.py")])
LEVELS = {room: level for level, room in enumerate(ORDER)}


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names that a file imports, anywhere in it, a type checker's included."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
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


def test_no_circle_anywhere():
    files = {dotted(path): path for path in [*CORE, *SCREEN]}
    waiting = {name: set(_used(path, files)) & set(files) - {name} for name, path in files.items()}
    while free := _ends(waiting):
        waiting = {name: used - free for name, used in waiting.items() if name not in free}
    assert not waiting, "these import each other: " + ", ".join(sorted(waiting))


def _ends(arrows: dict[str, set[str]]) -> set[str]:
    """Those that import none of the others, and those that none of the others imports."""
    imported = set().union(*arrows.values())
    return {name for name, used in arrows.items() if not used or name not in imported}


def dotted(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _used(path: Path, files: dict[str, Path]) -> Iterator[str]:
    """The files that a file imports, or imports something of."""
    for name in imports(path):
        yield name if name in files else name.rpartition(".")[0]


def test_pages_know_ui_and_core_and_not_each_other():
    for path in sorted((ROOT / "pages").rglob("*.py")):
        assert not tops(path) & {"app", "torch", "annoy"}, name_of(path)
        for name in imports(path):
            own = name.split(".")[1:2] == [path.parent.name]
            assert own or not name.startswith("pages."), f"{name_of(path)} imports {name}"


def test_ui_knows_no_page():
    for path in sorted((ROOT / "ui").rglob("*.py")):
        assert not tops(path) & {"pages", "app", "torch", "annoy"}, name_of(path)


def test_caching_is_in_files_of_that_name():
    for path in [*SCREEN, ROOT / "app.py"]:
        if path.name != "cache.py":
            assert "st.cache_" not in path.read_text(), name_of(path)


def test_locks_are_in_one_place():
    for path in [*CORE, *SCREEN]:
        if name_of(path) != "aina_core/disk/locks.py":
            assert not tops(path) & {"fcntl", "filelock"}, name_of(path)


def test_tables_are_written_by_one_function():
    for path in [*CORE, *SCREEN]:
        if name_of(path) != "aina_core/csv_files.py":
            assert not re.search(r"csv\.(Dict)?[wW]riter|to_csv", path.read_text()), name_of(path)


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
