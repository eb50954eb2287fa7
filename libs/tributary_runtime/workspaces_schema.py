"""The JSON schema of `workspaces.yaml`, for editors and the chart.

The one rule: it is made from the model, never edited: `python -m tributary_runtime.workspaces_schema` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tributary_runtime.attribute_docs import attribute_docs
from tributary_runtime.workspaces import Workspaces

PATH = Path(__file__).with_name("workspaces.schema.json")
"""The committed schema; a test compares it with the model."""


class _DocumentedSchema(GenerateJsonSchema):
    """Describes each key by the docstring below the attribute that holds it."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        described = super().model_schema(schema)
        docs = attribute_docs(schema["cls"])
        for name, field in schema["cls"].model_fields.items():
            if name in docs:
                described["properties"][field.alias or name]["description"] = docs[name]
        return described


def render_schema() -> str:
    """Returns the schema as it is committed."""
    keys = Workspaces.model_json_schema(schema_generator=_DocumentedSchema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **keys}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render_schema(), encoding="utf-8")
