"""The pictures in README.md: each is there, small, in light and dark, and tells nothing of the machine."""

from __future__ import annotations

import re
import zlib

from tests.support.pictures import LARGEST, PICTURES, ROOT, TAKEN, smaller

README = (ROOT / "README.md").read_text(encoding="utf-8")


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def test_each_picture_of_the_readme_is_there_and_each_that_is_there_is_in_the_readme() -> None:
    named = set(re.findall(r'(?:src|srcset)="([^"]+)"', README))
    kept = {str(place.relative_to(ROOT)) for place in PICTURES.iterdir()}
    assert named == kept == {f"docs/pictures/{name}-{look}.png" for name in TAKEN for look in ("light", "dark")}


def test_each_picture_has_its_dark_one_and_words_for_who_does_not_see_it() -> None:
    for name in TAKEN:
        assert f'<source media="(prefers-color-scheme: dark)" srcset="docs/pictures/{name}-dark.png">' in README
        assert re.search(rf'<img src="docs/pictures/{name}-light.png" width="\d+" alt="[^"]{{20,}}">', README)


def test_pictures_are_small_and_hold_nothing_but_the_picture() -> None:
    for place in PICTURES.iterdir():
        data = place.read_bytes()
        assert len(data) <= LARGEST
        assert {kind for kind, _ in chunks(data)} <= {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def test_a_picture_is_packed_without_its_remarks_and_stays_the_same() -> None:
    pixels = b"\0" + b"\1\2\3" * 40

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    packed = zlib.compress(pixels, 0)
    before = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", bytes(13)),
            chunk(b"tEXt", b"Author\0somebody"),
            chunk(b"IDAT", packed[:30]),
            chunk(b"IDAT", packed[30:]),
            chunk(b"IEND", b""),
        ]
    )
    after = smaller(before)
    assert len(after) < len(before)
    assert [kind for kind, _ in chunks(after)] == [b"IHDR", b"IDAT", b"IEND"]
    assert zlib.decompress(dict(chunks(after))[b"IDAT"]) == pixels
