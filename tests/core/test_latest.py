"""The last answer is given again to the very same two things, and to nothing that is only equal to them."""

from monitord.core.latest import latest, latest_by, latest_same


def test_only_the_very_same_things_are_not_asked_about_again() -> None:
    asked: list[tuple[list[int], str]] = []

    def answer(first: list[int], second: str) -> int:
        asked.append((first, second))
        return len(first)

    known, things = latest(answer), [1, 2]
    assert (known(things, "a"), known(things, "a"), len(asked)) == (2, 2, 1)
    assert (known([1, 2], "a"), len(asked)) == (2, 2)
    assert (known(things, "b"), len(asked)) == (2, 3)


def test_the_very_same_things_in_the_same_order_have_the_same_answer() -> None:
    asked: list[tuple[list[int], ...]] = []

    def answer(of: tuple[list[int], ...]) -> int:
        asked.append(of)
        return len(asked)

    known, one, other = latest_same(answer), [1], [2]
    assert [known((one, other)), known((one, other))] == [1, 1]
    assert [known((other, one)), known((other,)), known(([2],))] == [2, 3, 4]


def test_what_is_answered_while_others_ask_is_kept_for_who_asked() -> None:
    ours, theirs = [1], [2]

    def answer(first: list[int], second: str) -> int:
        if first is ours:
            known(theirs, second)  # as another thread does meanwhile
        return first[0]

    known = latest_by(answer)
    assert [known(ours, "a"), known(theirs, "a"), known(ours, "a")] == [1, 2, 1]
