"""A word of the domain has one home: an enum that two packages define drifts apart."""

import ast
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("tributary_domain", "tributary_runtime", "tributary_storage")
ENUMS = {"Enum", "IntEnum", "StrEnum", "IntFlag"}


def homes() -> dict[str, list[str]]:
    """Returns enum -> modules that define it."""
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((REPOSITORY / "libs" / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and ENUMS & {ast.unparse(base) for base in node.bases}:
                    found[node.name].append(f"{package}.{path.stem}")
    return found


def test_no_enum_is_defined_twice() -> None:
    assert {name: where for name, where in homes().items() if len(where) > 1} == {}
    assert homes()["AttributionModel"] == ["tributary_domain.settings"]
