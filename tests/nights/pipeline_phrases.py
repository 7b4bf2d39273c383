"""What can happen to the pipeline of the simulated fleet, as phrases of the nights' vocabulary."""

from collections.abc import Callable, Mapping

PHRASES: Mapping[str, Callable[..., object]] = {
    "the newest signal is {duration} old": lambda n, duration: setattr(n.pipeline, "signal_at", n.clock.now - duration),
    "signals are of the present again": lambda n: setattr(n.pipeline, "signal_at", None),
    "{count} take part for {group}": lambda n, count, group: n.pipeline.took.update({group.name: count}),
    "no tree of {group} is built any more": lambda n, group: n.pipeline.unbuilt.update({group.name: n.clock.now}),
    "the trees of {group} are built after all": lambda n, group: n.pipeline.unbuilt.pop(group.name, None),
    "nothing is published any more": lambda n: setattr(n.pipeline, "unpublished", n.clock.now),
    "all is published after all": lambda n: setattr(n.pipeline, "unpublished", None),
    "a root of {group} is rewritten": lambda n, group: n.pipeline.is_rewritten(group.name),
    "{count} roots of {group} are empty": lambda n, count, group: n.pipeline.is_wrong("empty", group.name, count),
    "a root of {group} is that of another seal": lambda n, group: n.pipeline.is_wrong("duplicate", group.name, 1),
    "a tree of {group} has another root": lambda n, group: n.pipeline.is_wrong("unlike", group.name, 1),
    "a tree of {group} has another number of participants": (
        lambda n, group: n.pipeline.is_wrong("miscounted", group.name, 1)
    ),
    "a seal of {group} has more participants than can claim": (
        lambda n, group: n.pipeline.is_wrong("oversized", group.name, 1)
    ),
    "a seal of {group} is recomputed to another root": lambda n, group: n.pipeline.is_wrong("mismatch", group.name, 1),
    "the seals of {group} are put right": lambda n, group: n.pipeline.is_right(group.name),
    "{channel} takes part for {group}": lambda n, channel, group: n.pipeline.roster[group.name].append(channel),
    "{channel} of {group} takes part for the group {name}, too": (
        lambda n, channel, group, name: n.pipeline.shared[group.name].append((channel, name))
    ),
    "{count} seals are of the group {name}": lambda n, count, name: n.pipeline.strangers.update({name: count}),
    "no seal is of the group {name}": lambda n, name: n.pipeline.strangers.pop(name, None),
    "{count} seals of {group} have no category": (
        lambda n, count, group: n.pipeline.uncategorised.update({group.name: count})
    ),
    "{percent} of the seals of {group} have a category": (
        lambda n, percent, group: n.pipeline.categorised.update({group.name: percent})
    ),
}
