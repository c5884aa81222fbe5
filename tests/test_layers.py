import ast
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What each folder or top-level module may import from the others; mnist_app/web may import all but __main__.
MAP = {
    "__main__": {"data", "errors", "explore", "ink", "lab", "models", "reading", "training"},
    "api": {"api_schema", "errors", "ink", "models", "reading"},
    "api_schema": set(),
    "lab": {"data", "errors", "ink", "models", "reading", "storage", "training"},
    "explain": {"data", "ink", "models", "reading"},
    "explore": {"data", "errors", "explain", "ink", "models", "reading", "storage", "work"},
    "training": {"data", "errors", "explain", "explore", "ink", "models", "reading", "storage"},
    "reading": {"data", "errors", "ink", "models"},
    "models": {"errors", "ink", "storage"},
    "data": {"errors", "ink", "storage", "work"},
    "ink": {"errors"},
    "access": {"errors"},
    "work": {"errors"},
    "storage": set(),
    "errors": set(),
}
HTTP = {"fastapi", "httpx", "requests", "starlette", "tornado", "uvicorn"}


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                package = node.module.startswith("mnist_app") and importlib.util.find_spec(node.module)
                # `from package import module` names a module, `from module import function` does not.
                yield name if package and package.submodule_search_locations and is_module(name) else node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def layer(path: Path) -> str:
    inside = path.relative_to(ROOT / "mnist_app")
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


FILES = sorted((ROOT / "mnist_app").rglob("*.py"))


def ours(*paths: Path) -> set[str]:
    """Return which of our folders and top-level modules some files import."""
    return {name.split(".")[1] for path in paths for name in imports(path) if name.startswith("mnist_app.")}


def go_round(below: dict[str, set[str]]) -> set[str]:
    """Return all modules that are part of an import cycle, and those that import them."""
    remaining = dict(below)
    while leaves := [name for name, names in remaining.items() if not names & set(remaining)]:
        for name in leaves:
            del remaining[name]
    return set(remaining)


def test_each_layer_imports_exactly_what_the_map_says() -> None:
    layers = {layer(path) for path in FILES} - {"web", "__init__"}
    assert {name: ours(*(path for path in FILES if layer(path) == name)) - {name} for name in layers} == MAP


def test_the_web_folder_never_imports_the_command_line() -> None:
    assert ours(*(path for path in FILES if layer(path) == "web")) <= {*MAP, "web"} - {"__main__"}


def test_there_are_no_import_cycles() -> None:
    assert go_round(MAP) == set()
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): set(imports(path)) for path in FILES}
    assert go_round(modules) == set()


def test_only_the_web_folder_imports_streamlit() -> None:
    knowing = {layer(path) for path in FILES if any(name.split(".")[0] == "streamlit" for name in imports(path))}
    assert knowing == {"web"}


def test_only_the_api_and_the_web_folder_import_http_libraries() -> None:
    speaking = {layer(path) for path in FILES if any(name.split(".")[0] in HTTP for name in imports(path))}
    assert speaking <= {"api", "web"}


def test_only_the_recorder_module_imports_mlflow() -> None:
    importing = [path.stem for path in FILES if any(name.split(".")[0] == "mlflow" for name in imports(path))]
    assert importing == ["recorder"]


def test_pyproject_installs_exactly_the_folders_that_contain_code() -> None:
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in FILES}
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]) == folders
