"""Write the pages that are made from the code (``make reference``); with ``--check``, name the stale ones.

The command line is from its application, the HTTP API from its OpenAPI document, records from structs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from recsys.cli.main import build_app
from recsys.contracts import records
from recsys.service.openapi import build_openapi

DOCS = Path(__file__).parents[2] / "docs"
EVENT_RECORDS = (
    records.Exposure,
    records.ExposedItem,
    records.Outcome,
    records.Assignment,
    records.RankList,
    records.Interaction,
)
GENERATED = re.compile(r"(<!-- generated -->\n).*?(<!-- end -->\n)", re.DOTALL)
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "`{}`",
}

Json = dict[str, object]


def command_line() -> str:
    """Return the page of every command and option."""
    text = build_app().generate_docs(output_format="markdown")
    contents = text.index("## Table of Contents")
    body = text[text.index("\n## ", contents + 1) :].replace("```console", "```text")
    lines = (line.rstrip() for line in body.strip().splitlines())
    head = (
        "# Commands\n\nEvery command and option, as `--help` prints them. Exit codes: 0 ok, 1 failed,"
        " 2 usage; a command that decides has its own (ship 0, hold 2, fail 3).\n"
    )
    return f"{head}\n" + "\n".join(lines) + "\n"


def http_api() -> str:
    """Return the page of every route and shape."""
    document = build_openapi()
    parts = [
        "# HTTP API\n",
        "Every route and shape, as the service's `/openapi.json` has them. [service.md](../service.md) says"
        " what they mean, [authentication.md](../authentication.md) how to call them.\n",
    ]
    for path, methods in document["paths"].items():  # type: ignore[union-attr,attr-defined]
        for method, operation in methods.items():
            parts += _operation(method.upper(), path, operation)
    parts.append("## Shapes\n")
    for name, schema in sorted(document["components"]["schemas"].items()):  # type: ignore[index]
        parts += _shape(name, schema)
    return "\n".join(parts)


def event_records() -> str:
    """Return the tables of the event records."""
    _, schemas = msgspec.json.schema_components(EVENT_RECORDS, ref_template="#/components/schemas/{name}")
    return "\n".join(line for kind in EVENT_RECORDS for line in _shape(kind.__name__, schemas[kind.__name__]))


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"## `{method} {path}`\n"
    yield f"{operation['summary']}. {operation.get('description', 'Open to everybody.')}\n"
    parameters = [one for one in operation["parameters"] if one["in"] != "header"]  # type: ignore[attr-defined]
    if parameters:
        yield "| parameter | in | type |\n|---|---|---|"
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        yield "Body: " + _content(body["content"]) + "\n"  # type: ignore[index]
    yield "| status | |\n|---|---|"
    for status, answer in operation["responses"].items():  # type: ignore[attr-defined]
        about = answer["description"]
        if status == "200":
            about = _content(answer["content"])
        elif about.isupper():
            about = ", ".join(f"`{code}`" for code in about.split(", "))
        yield f"| {status} | {about} |"
    yield ""


def _content(content: dict[str, Json]) -> str:
    return ", ".join(
        _type(one["schema"]) if kind == "application/json" and one["schema"] else f"`{kind}`"  # type: ignore[arg-type]
        for kind, one in content.items()
    )


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    if "description" in schema:
        yield (
            re.sub(r":\w+:`([^`]+)`|``([^`]+)``", r"`\1\2`", " ".join(str(schema["description"]).split()))
            + "\n"
        )
    properties: dict[str, Json] = schema.get("properties", {})  # type: ignore[assignment]
    if not properties:
        yield _type(schema) + "\n"
        return
    required = schema.get("required", [])
    yield "| field | | type |\n|---|---|---|"
    for field, one in properties.items():
        need = "required" if field in required else ""  # type: ignore[operator]
        yield f"| `{field}` | {need} | {_type(one)} |"
    yield ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"] if one != {"type": "null"}))  # type: ignore[attr-defined]
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"] if one is not None)  # type: ignore[attr-defined]
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind == "array":
        text = f"list of {_type(schema.get('items') or {})}"
    elif kind == "object":
        text = f"map to {_type(schema.get('additionalProperties') or {})}"  # type: ignore[arg-type]
        if schema.get("additionalProperties") in (None, True, False):
            text = "object"
    else:
        text = f"{schema.get('format') or kind or 'any JSON value'}"
    limits = [form.format(schema[key]).replace("|", "\\|") for key, form in LIMITS.items() if key in schema]
    return ", ".join([text, *limits])


def pages() -> dict[Path, str]:
    """Return what each generated page has to hold."""
    contracts = DOCS / "contracts.md"
    tables = event_records()
    return {
        DOCS / "reference" / "cli.md": command_line(),
        DOCS / "reference" / "http.md": http_api(),
        contracts: GENERATED.sub(
            lambda found: f"{found[1]}{tables}{found[2]}", contracts.read_text(encoding="utf-8")
        ),
    }


def main() -> int:
    """Write the pages, or say which are not current."""
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(DOCS.parent)} is not current: make reference")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
