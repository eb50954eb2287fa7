"""The chart, rendered in this process by the real Helm.

A `Chart` is loaded anew for every render: Helm may leave values of one render behind in it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "tributary"
VALUES = Path(__file__).parent / "values"
CASES = sorted(path.stem for path in VALUES.glob("*.yaml"))
"""The installations that are looked at closely, each a values file."""

SERVICES = ("attribution", "dedup", "delivery", "ingestion", "query")
RELEASE = "shop"
NAMESPACE = "marketing"

Values = dict[str, Any]
Manifest = dict[str, Any]


def overlaid(below: Values, above: Values) -> Values:
    """Returns `below` with the keys of `above` on top, maps merged."""
    merged = copy.deepcopy(below)
    for key, value in above.items():
        both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if both_maps else copy.deepcopy(value)
    return merged


def case(name: str, changes: Values | None = None) -> Values:
    """Returns the values of one of `CASES`, with changes on top."""
    return overlaid(_values_of(name), changes or {})


@cache
def _values_of(name: str) -> Values:
    (values,) = parsed((VALUES / f"{name}.yaml").read_text())
    return dict(values)


def parsed(text: str) -> Iterator[Any]:
    """Reads the documents of a YAML text, with the parser that is written in C."""
    return yaml.load_all(text, Loader=yaml.CSafeLoader)


def _render(values: str, release: str) -> dict[str, str]:
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values=json.loads(values), name=release, namespace=NAMESPACE)
    return {path.removeprefix("tributary/"): text for path, text in sorted(rendered.items())}


_render_once = cache(_render)


def render(values: Values, *, release: str = RELEASE, anew: bool = False) -> dict[str, str]:
    """Renders every template: path inside the chart -> text; the same values once, unless `anew`."""
    return dict((_render if anew else _render_once)(json.dumps(values), release))


def manifests(values: Values, *, release: str = RELEASE, anew: bool = False) -> list[Manifest]:
    """Renders every object, hooks included, in the order of the templates."""
    texts = (text for path, text in render(values, release=release, anew=anew).items() if path.endswith(".yaml"))
    return [manifest for text in texts for manifest in parsed(text) if manifest]


def of_kind(found: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Picks the objects of one kind: component -> manifest."""
    return {
        manifest["metadata"]["labels"]["app.kubernetes.io/component"]: manifest
        for manifest in found
        if manifest["kind"] == kind
    }


def pod_specs(found: list[Manifest]) -> dict[str, Manifest]:
    """Picks the specification of every pod, whatever starts it: `Kind/component` -> pod spec."""
    specs = {}
    for manifest in found:
        component = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        if manifest["kind"] == "Pod":
            specs[f"Pod/{component}"] = manifest["spec"]
        elif manifest["kind"] == "CronJob":
            specs[f"CronJob/{component}"] = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in manifest.get("spec", {}):
            specs[f"{manifest['kind']}/{component}"] = manifest["spec"]["template"]["spec"]
    return specs


def environment(pod_spec: Manifest) -> dict[str, Any]:
    """Reads the environment of a pod's only container: name -> text, or where it comes from."""
    (container,) = pod_spec["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}
