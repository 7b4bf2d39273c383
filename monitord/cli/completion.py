"""`monitord completion`: the script with which a shell completes every command, option and choice there is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

from monitord.cli import Subparsers, command, say
from monitord.core.subjects import rule_names

SHELLS: Final = ("bash", "zsh", "fish", "tcsh")
_INSTALLING: Final = """\
To install it, once:
  bash  monitord completion bash > ~/.local/share/bash-completion/completions/monitord
        (make the directory first; or, in ~/.bashrc: eval "$(monitord completion bash)")
  zsh   monitord completion zsh > ~/.zfunc/_monitord
        (with `fpath=(~/.zfunc $fpath); autoload -U compinit; compinit` in ~/.zshrc)
  fish  monitord completion fish > ~/.config/fish/completions/monitord.fish
  tcsh  monitord completion tcsh > ~/.monitord.tcsh, and `source ~/.monitord.tcsh` in ~/.tcshrc
It knows the commands of the version that wrote it: write it again after an update.
"""
# What stands where such a name stands in --help.
_FILES: Final = frozenset({"FILE"})
_DIRECTORIES: Final = frozenset({"DIR"})


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "completion",
        run,
        "Prints a script with which the shell completes commands, options, choices, rules and files.",
        epilog=_INSTALLING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="whose script")


def run(arguments: argparse.Namespace) -> int:
    import shtab

    for action in _actions(arguments.command_line):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab reads it
        elif action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest == "rule" and action.choices is None:
            action.choices = rule_names()
        elif isinstance(action, argparse._SubParsersAction):
            # Beside a command's name there is room for its line in --help, not for its description.
            for one in action._choices_actions:
                action.choices[one.dest].description = one.help
    say(shtab.complete(arguments.command_line, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument of a parser and of the commands in it. argparse has no public way to ask."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
