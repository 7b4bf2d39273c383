"""The settings of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from monitord.core.orders import SEED_WORKERS, TREES, StandingOrders
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
    built_by: tuple[str, ...] = setting(
        SEED_WORKERS[TREES],
        "Shell patterns of the services that build trees, whose death explains that trees are behind.",
        example='["tree-builder"]',
        judged=True,
    )
    published_by: tuple[str, ...] = setting(
        SEED_WORKERS[TREES],
        "Shell patterns of the services that publish, whose death explains that nothing is published.",
        example='["publisher"]',
        judged=True,
    )


def settings(orders: StandingOrders) -> PipelineSettings:
    """The settings as judgement needs them."""
    return own_settings(PipelineSettings, NAME, orders)
