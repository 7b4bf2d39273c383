"""No code branches on a name of a subject, or on a part of a rule's, outside its files: what differs is declared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from monitord.core.subjects import base, rule_names
from monitord.core.subjects.registry import SUBJECTS
from tests.support.source import PACKAGE, modules, walked

NAMES = frozenset(subject.name for subject in SUBJECTS)
# A name between quotes, in a text that is another language's: SQL, HTML, a program.
QUOTED = re.compile(rf"""["'](?:{"|".join(sorted(NAMES))})["']""")
# Of core/subjects/, what serves every subject.
SHARED = {"__init__", "base", "guard", "managers", "servers"}
# The files of single subjects outside core/subjects/ that have other names than theirs.
OWN = {
    "core/backtest/__init__.py": {"postgres"},
    "core/history/clocks.py": {"postgres"},  # the database's clock is what seals are judged by
    "core/history/database.py": {"postgres"},
    "core/history/growth*.py": {"postgres"},
    "core/history/mounts.py": {"host"},
    "core/history/process_events.py": {"pm2"},  # who did it, of an event
    "core/history/restarts.py": {"host", "pm2"},  # whether PM2 was restarted by a reboot, the host's boot time says
}
# Where such a word is none of a subject's names, or a list of subjects is what is to be written down.
ELSEWHERE = {
    "__main__.py": {"monitord"},  # the program's name
    "cli/demo.py": {"pipeline"},  # a fleet of the demonstration
    "cli/pm2_config.py": {"monitord"},  # the program's name among PM2's apps
    "cli/proof.py": {"chain"},  # a field of the document of a proof
    "config/reading.py": {"pm2"},  # a section of the settings whose default depends on the user
    "config/check_types.py": {"postgres"},  # an example
    "config/checks.py": {"host", "postgres"},  # a header of HTTP; the server that checks in SQL ask
    "config/loader.py": {"checks", "host", "pm2"},  # sections of the settings, of which two are at odds
    "config/settings.py": {"postgres", "redis"},  # the settings that are addresses with a password
    "config/types.py": {"postgres", "redis"},  # schemes of addresses
    "core/orders.py": {"pm2", "postgres", "epochs", "redis", "host"},  # orders that nobody made of settings
    "demo/*.py": NAMES,  # reads the public JSON, as any other reader of it, and names what it breaks
    "discovery/scan.py": {"epochs"},  # a column of what it asks
    "notify/channels/alertmanager.py": {"monitord"},  # the program's name
    "notify/channels/pagerduty.py": {"monitord"},
    "pm2/axm.py": {"monitord"},
    "postgres/dsn.py": {"host", "monitord"},  # parameters of libpq, and the program's name
    "probes/__init__.py": NAMES,  # the registry of the probes
    "redis/connection.py": {"host"},  # a parameter of the client
    "reporting/metric_families.py": {"host"},  # a label: where monitord says it runs
    "runtime/daemon.py": {"pm2"},  # who asked for a check
    "testing/servers/*.py": {"pm2", "postgres", "monitord"},
    "web/api.py": {"monitord"},  # the program's name
    "web/middleware.py": {"host"},  # a header of HTTP
    "web/openapi.py": {"monitord", "pm2"},  # the program's name; who asked for a check
    "web/rendering.py": {"monitord"},
}
# Who looks into the declaration of a single subject: the module of core/subjects/, and why.
LOOKS_INTO = {
    "chain/channels.py": {"chain_facts"},
    "cli/proof.py": {"chain_facts"},
    "config/judging.py": {"named_limits"},  # limits that name no service that is expected
    "postgres/sampler.py": {"pipeline_cases"},
    "probes/*.py": {"pipeline_settings", "pipeline_cases", "chain_facts"},
    "probes/checks/*.py": {"check_rules", "endpoints", "values"},
    "reporting/charts/*.py": {"check_rules", "checks_report", "epochs_report", "pm2_report", "postgres_report"},
    "runtime/cycle.py": {"monitord"},  # what monitord measures of itself
    "testing/servers/solana.py": {"chain_facts"},
    "web/backend.py": {"check_rules"},  # jobs that report over HTTP
    "web/pages.py": {"pm2_report", "pm2_status"},  # the page of one service
    "web/records.py": {"checks_report", "pm2_report"},
    "web/services.py": {"pm2", "pm2_report", "pm2_status", "app_limits", "errors"},
}
# Of the rules: what the demo breaks on purpose, and what it expects to hear.
DATA = {PACKAGE / "demo" / "scenario.py", PACKAGE / "demo" / "shop" / "scenario.py"}
# A probe's sample of the same name.
SAMPLES = {"channel_silent"}
PARTS = {"startswith", "endswith", "partition", "rpartition", "removeprefix", "removesuffix", "split"}
IN = (ast.In, ast.NotIn)


def spelled(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Where a subject's name is a value, whatever it is compared with; docstrings and types are none."""
    left_out = {id(part) for node in nodes for part in prose_and_types(node)}
    for node in nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str | bytes) or id(node) in left_out:
            continue
        text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
        words = [text] if text in NAMES else text.split()
        if len(words) > 1 and not NAMES.issuperset(words):
            words = []  # a sentence
        if text == text.strip():  # what else is a piece of a sentence
            yield from ((node.lineno, word) for word in words if word in NAMES)
        yield from ((node.lineno, hit.strip("\"'")) for hit in QUOTED.findall(text))


def prose_and_types(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr):
        yield node.value  # a docstring
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        yield from ast.walk(node.slice)


def looked_into(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """The modules of core/subjects/ that are imported."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        else:
            continue
        modules = (re.match(r"monitord\.core\.subjects\.(\w+)", name) for name in found)
        named = {hit[1] for hit in modules if hit and (PACKAGE / "core/subjects" / f"{hit[1]}.py").exists()}
        yield from ((getattr(node, "lineno", 0), module) for module in sorted(named))


def is_own(place: str, name: str) -> bool:
    """Whether a file is a subject's by its name, or by its folder's."""
    *folders, file = place.removesuffix(".py").split("/")
    return name in folders or file == name or file.startswith(f"{name}_")


def allowed(path: str, *known: Mapping[str, AbstractSet[str]]) -> set[str]:
    return {name for each in known for form, names in each.items() if fnmatch(path, form) for name in names}


def is_of_one_subject(place: str) -> bool:
    return place.startswith("core/subjects/") and Path(place).stem not in SHARED


def takes_apart(nodes: Iterable[ast.AST]) -> list[int]:
    """The lines at which a rule's name is taken for more than a name."""
    return [
        node.lineno
        for node in nodes
        if (isinstance(node, ast.Attribute) and node.attr in PARTS and is_rule(node.value))
        or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and is_rule(node.value))
        or (isinstance(node, ast.Compare) and isinstance(node.ops[0], IN) and is_rule(node.comparators[0]))
        or (isinstance(node, ast.Call) and any(map(is_rule, node.args)) and ast.unparse(node.func).startswith("re."))
    ]


def is_rule(node: ast.expr) -> bool:
    """Whether an expression is by its own name a rule's name."""
    if isinstance(node, ast.Constant | ast.Call):  # they end in quotes and brackets; most arguments are one of them
        return False
    spelt = node.id if isinstance(node, ast.Name) else ast.unparse(node)
    return spelt == "rule" or spelt.endswith((".rule", "rule.name", "rule_name"))


@dataclass
class Found:
    """What is in the package: the file, line and name of each name and import outside the files of single subjects."""

    names: list[tuple[str, int, str]] = field(default_factory=list)
    imports: list[tuple[str, int, str]] = field(default_factory=list)
    # The files that spell a rule's name, and the lines at which one is taken apart, by file.
    rules: dict[str, set[Path]] = field(default_factory=lambda: {name: set() for name in rule_names()})
    taken_apart: dict[str, list[int]] = field(default_factory=dict)


@cache
def found() -> Found:
    """All of it, of one reading: parsing the package takes as long as looking for all of this in it."""
    found = Found()
    for path, tree in modules():
        place, nodes = path.relative_to(PACKAGE).as_posix(), walked(tree)
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
                for name in found.rules.keys() & re.findall(r"[a-z_]+", node.value):
                    found.rules[name].add(path)
        if lines := takes_apart(nodes):
            found.taken_apart[place] = lines
        if not is_of_one_subject(place):
            found.names += [(place, line, name) for line, name in spelled(nodes)]
            if not place.startswith(("core/subjects/", "demo/")):
                known = SHARED | {"registry"}
                found.imports += [(place, line, module) for line, module in looked_into(nodes) if module not in known]
    return found


def test_a_rules_name_stands_in_one_file_of_the_rules_and_in_no_other() -> None:
    declared_in = Path(base.__file__).parent
    for name, files in found().rules.items():
        elsewhere = {path for path in files if path.parent != declared_in} - DATA
        assert name in SAMPLES or not elsewhere, f"{name} is spelled in {sorted(map(str, elsewhere))}"
        own = [path for path in files if path.parent == declared_in]
        # Whether a server can be measured, and a part of what is measured through it, is judged alike of each.
        assert len(own) <= 1, f"{name} is spelled in {sorted(map(str, own))}"


def test_nothing_branches_on_a_part_of_a_rules_name() -> None:
    assert found().taken_apart == {}


@pytest.mark.parametrize(
    "code",
    [
        'alert.rule.startswith("redis_")',
        'rule.name.endswith("_unreachable")',
        'rule.partition("_")',
        'alert.rule[:5] == "redis"',
        'if "redis" in alert.rule: pass',
        'if "redis" not in finding.rule: pass',
        're.match("redis", alert.rule)',
    ],
)
def test_a_part_of_a_rules_name_is_found_however_it_is_taken(code: str) -> None:
    assert takes_apart(walked(ast.parse(code))) == [1]


def test_no_code_branches_on_a_subjects_name_outside_its_files() -> None:
    spelled_elsewhere = [
        f"{place}:{line} spells {name}"
        for place, line, name in found().names
        if name not in allowed(place, OWN, ELSEWHERE) and not is_own(place, name)
    ]
    assert spelled_elsewhere == []


def test_no_code_looks_into_a_subject_but_what_is_its_own() -> None:
    looked_into_elsewhere = [
        f"{place}:{line} imports {module}"
        for place, line, module in found().imports
        if module not in allowed(place, LOOKS_INTO)
    ]
    assert looked_into_elsewhere == []


def test_what_is_allowed_is_needed() -> None:
    unused = set()
    for known, in_use in ((OWN | ELSEWHERE, found().names), (LOOKS_INTO, found().imports)):
        for form, names in known.items():
            needed = {name for place, _, name in in_use if fnmatch(place, form)}
            unused |= {(form, name) for name in names - needed if names is not NAMES}
    assert unused == set()


def test_no_template_script_or_style_names_a_subject_or_a_rule() -> None:
    prose = {"monitord", "host"}  # the program, and a machine
    names = re.compile(rf"\b(?:{'|'.join([*sorted(NAMES - prose), *rule_names()])})\b")
    files = [
        path
        for path in PACKAGE.rglob("*")
        if path.suffix in {".html", ".j2", ".js", ".css"} and "demo" not in path.parts
    ]
    assert len(files) > 20
    assert {str(path): hit for path in files if (hit := names.findall(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "code",
    [
        'if probe == "redis": pass',
        'if "redis" in orders.probes: pass',
        'if probe in ("host", "redis"): pass',
        'if orders.probes - {"redis"}: pass',
        'if subject.name.startswith("redis"): pass',
        'if subject.name in "postgres redis".split(): pass',
        'LIMITS = {"redis": 1}',
        'SERVER: Final = "redis"',
        'def limit(probe="redis"): pass',
        'limit(probe="redis")',
        'ORDER = dict(redis=1) | {**{"redis": 1}}',
        'first = lambda: "redis"',
        'if (one := "redis") == probe: pass',
        'if f"redis{port}".startswith(probe): pass',
        'reading = readings["redis"]',
        'reading = readings.get("redis")',
        'section = getattr(settings, "redis")',
        'match probe:\n    case "redis": pass',
        'match probe:\n    case {"redis": found}: pass',
        "SELECT = \"SELECT at FROM readings WHERE probe = 'redis'\"",
        "SHOWN = \"{% if section.key == 'redis' %}\"",
    ],
)
def test_a_branch_is_found_however_it_is_written(code: str) -> None:
    assert "redis" in [name for _, name in spelled(walked(ast.parse(code)))]


@pytest.mark.parametrize(
    "code",
    [
        "from monitord.core.subjects.redis import REDIS",
        "from monitord.core.subjects import redis",
        "import monitord.core.subjects.redis",
        "def f():\n    from monitord.core.subjects.redis_status import REDIS_SERVER\n",
    ],
)
def test_who_compares_with_a_subject_itself_is_found_by_the_import(code: str) -> None:
    assert [name.partition("_")[0] for _, name in looked_into(walked(ast.parse(code)))] == ["redis"]


@pytest.mark.parametrize(
    "code", ['"""redis"""', 'Name = Literal["redis"]', 'say("Redis is away: is the redis there?")', "redis = 1"]
)
def test_prose_types_and_variables_are_no_branches(code: str) -> None:
    assert list(spelled(walked(ast.parse(code)))) == []
