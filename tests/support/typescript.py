"""Types in TypeScript: of our models and of a package of Python, and what the compiler says."""

import ast
import re
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from tests.support import packages

_COMPILER: Final = (
    "typescript",
    "5.9.3",
    "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw==",
)
_OPTIONS: Final = (
    "--noEmit --strict --skipLibCheck --target es2022 --module esnext --moduleResolution bundler"
    " --pretty false"
)
_OF_PYTHON: Final = {
    "str": "string", "int": "number", "float": "number", "bool": "boolean", "None": "null",
    "Any": "unknown", "Unset": "undefined", "datetime.datetime": "string",
}  # fmt: skip
_Schema = dict[str, Any]


class Accepted:
    """What a model of ours accepts."""

    def __init__(self, adapter: TypeAdapter[Any], but_required: Collection[str] = ()) -> None:
        """Take its JSON schema.

        Args:
            adapter: of the model.
            but_required: keys that count as optional, though the model requires them.
        """
        self._whole = adapter.json_schema()
        self._but_required = frozenset(but_required)

    def __str__(self) -> str:
        """The type."""
        return self._type(self._whole)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """The way to each key that is read."""
        return self._ways(self._whole, ())

    def _type(self, schema: _Schema) -> str:
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return " | ".join(map(self._type, schema["anyOf"]))
        match schema.get("type"):
            case "array":
                return f"readonly ({self._type(schema['items'])})[]"
            case "object":
                return self._object(schema)
            case "string":
                return "string | Date" if schema.get("format") == "date-time" else "string"
            case kind:
                return {"integer": "number", None: "unknown"}.get(kind, str(kind))

    def _object(self, schema: _Schema) -> str:
        if "properties" not in schema:
            others = schema["additionalProperties"]
            return f"Record<string, {self._type({} if others is True else others)}>"
        needed = {*schema.get("required", ())} - self._but_required
        keys = (
            f"{key}{'' if key in needed else '?'}: {self._type(value)};"
            for key, value in schema["properties"].items()
        )
        # Without other keys, TypeScript refuses an answer that has none of them.
        return f"{{ {' '.join(keys)} [other: string]: any }}"

    def _ways(self, schema: _Schema, way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        schema = self._resolved(schema)
        for inner in (*schema.get("anyOf", ()), schema.get("items")):
            if inner:
                yield from self._ways(inner, way)
        for key, value in schema.get("properties", {}).items():
            yield (*way, key)
            yield from self._ways(value, (*way, key))

    def _resolved(self, schema: _Schema) -> _Schema:
        _, _, name = schema.get("$ref", "").rpartition("/")
        return dict(self._whole["$defs"][name]) if name else schema


def types_of_python(folder: Path) -> str:
    """The classes of a folder, as openapi-python-client makes them of a description."""
    return "\n".join(
        f"type {node.name} = {_of_class(node, file.read_text(encoding='utf-8'))};"
        for file in sorted(folder.glob("*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    )


def _of_class(node: ast.ClassDef, source: str) -> str:
    if "Enum" in map(ast.unparse, node.bases):
        values = (ast.unparse(one.value) for one in node.body if isinstance(one, ast.Assign))
        return " | ".join(values)
    keys = {_plain(key): key for key in re.findall(r'd\.pop\("(\w+)"', source)}
    fields = {
        keys.get(_plain(ast.unparse(one.target))): _of_annotation(one.annotation)
        for one in node.body
        if isinstance(one, ast.AnnAssign)
    }
    typed = (
        f"{key}{'?' if 'undefined' in kind else ''}: {kind};" for key, kind in fields.items() if key
    )
    return f"{{ {' '.join(typed)} }}"


def _plain(name: str) -> str:
    """The key `healthCheckPath` and the attribute `health_check_path` are the same."""
    return name.replace("_", "").lower()


def _of_annotation(node: ast.expr) -> str:
    """`Union[Unset, list['X']]` is `undefined | (X)[]`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _of_annotation(ast.parse(node.value, mode="eval").body)
    if not isinstance(node, ast.Subscript):
        name = ast.unparse(node)
        return _OF_PYTHON.get(name, name)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    kinds = [_of_annotation(one) for one in inner]
    match ast.unparse(node.value):
        case "Union" | "Optional":
            return " | ".join(kinds)
        case "list":
            return f"({kinds[0]})[]"
        case other:
            assert other == "dict", other
            return f"Record<string, {kinds[1]}>"


def compiler() -> list[str]:
    """The command of the compiler; `AbsentError` if it cannot be had."""
    return [packages.program("node"), str(packages.npm(*_COMPILER) / "lib/tsc.js")]


def told(command: list[str], text: str, folder: Path) -> str:
    """What the compiler says of a program, each with the beginning of its line."""
    (folder / "compared.ts").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [*command, *_OPTIONS.split(), "compared.ts"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    lines = text.splitlines()
    return re.sub(
        r"^compared\.ts\((\d+),.*?\): ",
        lambda found: f"{lines[int(found[1]) - 1][:100]}\n    ",
        done.stdout,
        flags=re.MULTILINE,
    )
