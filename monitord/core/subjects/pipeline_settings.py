"""The settings of the pipeline."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from monitord.core.orders import SEED_WORKERS, TREES, StandingOrders
from monitord.core.subjects import pipeline_cases
from monitord.core.subjects.base import own_settings, setting

NAME: Final = "pipeline"


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """How the pipeline is watched where its tables are there."""

    watch: bool = setting(True, "Whether the pipeline's stages are watched where their tables are there.")
    publish_stall: timedelta = setting(
        timedelta(hours=2),
        "How long nothing may be published while there is something sealed, with a tree and unpublished.",
        judged=True,
    )
    verify: Literal["off", "sampled", "all"] = setting(
        "sampled",
        "Which sealed roots are recomputed: none (off), one recent seal a group each hour, or every new one (all).",
        example="all",
    )
    test_cases: str | None = setting(
        None,
        "Cases prepared for the on-chain test, a criterion of the report: of each its participant, root and number of "
        "participants. The participant is shown nowhere.",
        example='[{"channel": "marlon", "epoch": 1762308000, "user_hash": "'
        + "01" * 32
        + '", "root": "'
        + "ab" * 32
        + '", "participants": 628}]',
        secret=True,
        check=pipeline_cases.check,
        known=pipeline_cases.known,
    )
    built_by: tuple[str, ...] = setting(
        (),
        "Patterns of the services that build trees; their death explains that trees are behind. None: the seed's.",
        example='["builder"]',
        judged=True,
    )
    published_by: tuple[str, ...] = setting(
        (),
        "Patterns of the services that publish; their death explains that none is published. None: the seed's.",
        example='["publisher"]',
        judged=True,
    )


def builders(orders: StandingOrders) -> tuple[str, ...]:
    """The services that build trees, as shell patterns."""
    return settings(orders).built_by or SEED_WORKERS[TREES]


def publishers(orders: StandingOrders) -> tuple[str, ...]:
    """The services that publish, as shell patterns."""
    return settings(orders).published_by or SEED_WORKERS[TREES]


def prepared(orders: StandingOrders) -> tuple[pipeline_cases.PreparedCase, ...]:
    """The test cases that the orders name, as far as judgement may know them."""
    return pipeline_cases.cases(settings(orders).test_cases)


def settings(orders: StandingOrders) -> PipelineSettings:
    return own_settings(PipelineSettings, NAME, orders)
