"""The dashboard: over metrics that exist, by expressions that Prometheus takes, on panels that say what they show."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from monitord.reporting.metric_families import families
from tests.deploy.tools import DEPLOY, approves, tool

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "monitord.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS: list[str] = [target["expr"] for panel in PANELS for target in panel["targets"]]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What Prometheus knows of a target without being told.
OF_PROMETHEUS = {"up"}


def metrics(expression: str) -> set[str]:
    return set(re.findall(r"\bmonitord_\w+|\bup\b", expression.replace('job="monitord"', "")))


def test_every_metric_that_is_shown_exists() -> None:
    shown = {name for expression in EXPRESSIONS for name in metrics(expression)}
    assert shown - OF_PROMETHEUS <= set(families())
    assert len(shown) > 25


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_panel_has_a_title_a_unit_and_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [SOURCE] * (
        1 + len(panel["targets"])
    )


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_panel_shows_the_chosen_hosts_of_the_chosen_fleets_and_no_other(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        selectors = re.findall(r"(?:monitord_\w+|\bup)(\{[^}]*\})?", target["expr"].replace('job="monitord", ', ""))
        assert selectors
        assert all('fleet=~"$fleet", instance=~"$instance"' in selector for selector in selectors)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_legend_names_labels_that_its_metric_has(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        has = {"instance", "fleet"}.union(
            *(families()[name].labels for name in metrics(target["expr"]) - OF_PROMETHEUS)
        )
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= has


def test_the_source_the_fleet_and_the_host_can_be_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "fleet", "instance"]
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("fleet", "instance"):
        assert variables[name]["datasource"] == SOURCE
        assert metrics(variables[name]["definition"]) == {"monitord_build_info"}


def test_no_two_panels_have_the_same_id_or_lie_on_each_other() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        covered = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not covered & taken
        taken |= covered


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]
    # JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    approves(tool("promtool"), "check", "rules", "--lint=none", "rules.yml", cwd=tmp_path)
