"""The JSON schema of `workspaces.yaml`, for editors and the chart.

The one rule: it is made from the model, never edited: `python -m tributary_runtime.workspaces_schema` writes it anew.
"""

import json
from pathlib import Path

from tributary_runtime.workspaces import Workspaces

PATH = Path(__file__).with_name("workspaces.schema.json")
"""The committed schema; a test compares it with the model."""


def render_schema() -> str:
    """Returns the schema as it is committed."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Workspaces.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render_schema(), encoding="utf-8")
