"""`monitord completion`: what real shells offer for what is typed so far."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from monitord.__main__ import command_line
from monitord.cli import COMMANDS
from monitord.cli.completion import SHELLS

from .program import PATIENCE, environment, monitord

Offered = Callable[..., list[str]]

# Each question is a line of words between quotes; what is offered ends with a line that no word is.
_DRIVE = """
source ./monitord.bash
function=$(complete -p monitord | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
while IFS= read -r words; do
  eval "COMP_WORDS=($words)"
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
  "$function"
  printf '%s\\n' "${COMPREPLY[@]}" "that is all"
done
"""


def script(shell: str, directory: Path) -> str:
    done = monitord("completion", shell, directory=directory)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offered]:
    """What bash offers for the words typed, the last of them unfinished."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    directory = tmp_path_factory.mktemp("bash")
    (directory / "monitord.bash").write_text(script("bash", directory), encoding="utf-8")
    (directory / "notes.txt").touch()
    (directory / "night").mkdir()

    with subprocess.Popen(
        [bash, "--norc", "-c", _DRIVE], cwd=directory, env=environment(directory), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as shell:  # fmt: skip
        assert shell.stdin is not None
        assert shell.stdout is not None
        told, answered = shell.stdin, iter(shell.stdout.readline, "")

        def ask(*words: str) -> list[str]:
            told.write(shlex.join(("monitord", *words)) + "\n")
            told.flush()
            return [word.strip() for word in iter(partial(next, answered), "that is all\n") if word.strip()]

        yield ask
        _, complaints = shell.communicate(timeout=PATIENCE)
    assert (shell.returncode, complaints) == (0, "")


def commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command of a parser by its words, those within commands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield (*path, name), inner
                yield from commands(inner, (*path, name))


def test_every_command_is_offered(offered: Offered) -> None:
    assert set(offered("")) == set(COMMANDS)
    assert offered("rep") == ["report"]


def test_every_option_of_every_command_is_offered(offered: Offered) -> None:
    whole = dict(commands(command_line("completion")))
    assert {path[0] for path in whole} == set(COMMANDS)
    for path, parser in whole.items():
        options = {option for action in parser._actions for option in action.option_strings}
        assert set(offered(*path, "-")) == options, path


def test_every_choice_is_offered_after_its_option(offered: Offered) -> None:
    tried = 0
    for path, parser in commands(command_line("completion")):
        for action in parser._actions:
            if action.option_strings and action.choices:
                assert offered(*path, action.option_strings[-1], "") == [str(choice) for choice in action.choices]
                tried += 1
    assert tried >= 6
    assert offered("logs", "--level", "w") == ["warning"]
    assert offered("completion", "") == list(SHELLS)


def test_files_are_offered_where_a_file_is_wanted_and_directories_where_one_is(offered: Offered) -> None:
    assert offered("report", "--output", "no") == ["notes.txt"]
    assert offered("logs", "no") == ["notes.txt"]
    assert offered("init", "--pm2-home", "n") == ["night"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_of_every_command(shell: str, tmp_path: Path) -> None:
    written = script(shell, tmp_path)
    assert all(name in written for name in COMMANDS)
    assert ("the morning verdict" in written) == (shell in ("zsh", "fish"))
    if (real := shutil.which(shell)) is not None:
        subprocess.run([real, "-n"], input=written, text=True, timeout=PATIENCE, check=True)


def test_help_says_how_to_install_it(tmp_path: Path) -> None:
    told = monitord("completion", "--help", directory=tmp_path).stdout
    assert all(f"monitord completion {shell} > ~/" in told for shell in SHELLS)


def test_a_shell_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    done = monitord("completion", "cmd", directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
