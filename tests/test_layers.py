import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Which of our modules each one imports, anywhere in its code; mnist_app/web may import all but __main__.
MAP = {
    "api": {"api_schema", "errors", "number", "photo", "preprocessing", "registry", "shelf", "strokes"},
    "__main__": {
        *("calibration", "dataset", "errors", "evaluation", "explorer", "fetch", "inkfiles", "inkset", "jobs"),
        *("number", "photo", "predictions", "prepare", "preprocessing", "recognition", "registry", "shelf"),
        *("trainer", "training", "twins"),
    },
    "jobs": {
        *("augmentation", "errors", "models", "registry", "shelf", "storage", "trainer", "training"),
    },
    "trainer": {"dataset", "evaluation", "inkset", "models", "preprocessing", "registry", "training"},
    "exchange": {"models", "registry"},
    "shelf": {"registry", "storage"},
    "prepare": {"dataset", "errors", "kept", "neighbours", "predictions", "projection", "storage"},
    "evidence": {"models", "recognition", "registry"},
    "feature_maps": {"models"},
    "replay": {"models", "preprocessing", "recognition", "registry", "strokes"},
    "doctor": {
        *("dataset", "distortions", "morphometry", "preprocessing", "recognition", "registry", "strokes"),
    },
    "distortions": set(),
    "glossary": set(),
    "attacks": {"dataset", "models", "recognition", "registry"},
    "explorer": {"dataset", "label_errors", "morphometry", "predictions", "projection"},
    "label_errors": set(),
    "projection": {"dataset", "kept", "neighbours", "predictions"},
    "neighbours": {"dataset", "kept", "predictions"},
    "predictions": {"dataset", "kept", "models", "recognition", "registry"},
    "kept": {"errors", "storage"},
    "work": {"errors"},
    "morphometry": set(),
    "api_schema": set(),
    "twins": {
        *("calibration", "dataset", "errors", "inkfiles", "inkset"),
        *("models", "preprocessing", "recognition", "registry"),
    },
    "evaluation": {"calibration", "inkfiles", "recognition", "registry"},
    "number": {"errors", "preprocessing", "recognition", "registry", "strokes"},
    "recognition": {"errors", "models", "preprocessing", "registry", "strokes"},
    "training": {"augmentation", "dataset", "errors", "inkset", "models"},
    "inkset": {
        *("dataset", "errors", "inkfiles", "models", "nondigits", "preprocessing", "restyling", "strokes"),
    },
    "nondigits": {"restyling", "strokes"},
    "restyling": {"strokes"},
    "augmentation": {"errors"},
    "calibration": set(),
    "registry": {"errors", "models", "storage"},
    "models": {"errors"},
    "fetch": {"dataset", "storage", "torchvision_cpu"},
    "torchvision_cpu": set(),
    "dataset": {"errors", "storage"},
    "inkfiles": {"errors", "strokes"},
    "preprocessing": {"errors", "photo", "strokes"},
    "photo": {"errors"},
    "strokes": {"errors"},
    "storage": set(),
    "errors": set(),
}
HTTP = {"fastapi", "httpx", "requests", "starlette", "tornado", "uvicorn"}


def imports(path: Path) -> Iterator[str]:
    """The full name of every module that a file imports, at its top or inside its functions."""
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
    """Which of our modules some files import."""
    return {name.split(".")[1] for path in paths for name in imports(path) if name.startswith("mnist_app.")}


def test_the_map_is_the_code() -> None:
    assert {path.stem: ours(path) for path in FILES if layer(path) != "web" and path.stem != "__init__"} == MAP


def test_the_screen_imports_what_is_below_it() -> None:
    assert ours(*(path for path in FILES if layer(path) == "web")) <= {*MAP, "web"} - {"__main__"}


def test_imports_never_go_round_in_circles() -> None:
    remaining = dict(MAP)
    while leaves := [name for name, below in remaining.items() if not below & set(remaining)]:
        for name in leaves:
            del remaining[name]
    assert remaining == {}


def test_only_the_screen_knows_streamlit() -> None:
    knowing = {layer(path) for path in FILES if any(name.split(".")[0] == "streamlit" for name in imports(path))}
    assert knowing == {"web"}


def test_only_the_api_speaks_http() -> None:
    speaking = {layer(path) for path in FILES if any(name.split(".")[0] in HTTP for name in imports(path))}
    assert speaking <= {"api", "web"}


def test_the_core_never_sees_the_screen() -> None:
    assert [name for name, below in MAP.items() if "web" in below] == []
