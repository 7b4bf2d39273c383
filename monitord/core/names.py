"""Names: what a written one means (a pattern, unless there is a subject called so), and how a long one is cut."""

import hashlib
from collections.abc import Container, Iterable
from fnmatch import fnmatchcase
from typing import Final

EVERYTHING: Final = "*"
LONGEST: Final = 200
_MARK: Final = 8
_SIGNS: Final = frozenset("*?[")


def nearest(written: str, known: Iterable[str], cutoff: float = 0.0) -> str:
    """The known name that is most like a written one; "" where none is like it to this share."""
    import difflib  # for a mistake alone

    return next(iter(difflib.get_close_matches(written, list(known), 1, cutoff)), "")


def hint(written: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known: which it may have been meant for; "" where none is near."""
    near = nearest(written, known, 0.5)
    return f"; the nearest is {near}" if near else ""


def is_pattern(written: str) -> bool:
    return not _SIGNS.isdisjoint(written)


def patterns(written: Iterable[str]) -> frozenset[str]:
    """Those of the written names that may mean others: nearly always none of thousands."""
    names = list(written)
    together = "".join(names)
    if not ("*" in together or "?" in together or "[" in together):
        return frozenset()
    return frozenset(filter(is_pattern, names))


def is_exact(written: str, known: Container[str]) -> bool:
    """Whether a written name means one subject only: it is no pattern, or, but for `*`, called exactly so."""
    return not is_pattern(written) or (written != EVERYTHING and written in known)


def means(written: str, name: str, known: Container[str] = ()) -> bool:
    """Whether `written` means what is called `name`, where these are the names that are known."""
    return written == name or (not is_exact(written, known) and fnmatchcase(name, written))


def any_means(written: Iterable[str], name: str, known: Container[str] = ()) -> bool:
    return any(means(each, name, known) for each in written)


def distinct(name: str, longest: int = LONGEST) -> str:
    """The name where it is printable and at most `longest` characters.

    Else its beginning as it can be shown, `~` and eight digits of a hash of the whole: different names stay different.
    """
    if len(name) <= longest and name.isprintable():
        return name
    whole = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name[: longest - _MARK - 1])
    return f"{shown}~{whole[:_MARK]}"
