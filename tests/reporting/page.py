"""What a page says and is made of, read as a browser would: its text, its elements, and whether they are in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"meta", "br", "hr", "link", "input"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A parsed page. `faults` names every tag that was closed out of turn."""

    source: str
    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        self.faults += [f"{element.name} never closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop().name != tag:
            self.faults.append(f"/{tag} out of turn")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, name: str) -> list[Element]:
        return [element for element in self.elements if element.name == name]

    def ids(self) -> list[str]:
        return [found for element in self.elements if (found := element.attributes.get("id"))]


def plots(page: str) -> list[ET.Element]:
    """Every outermost SVG, parsed as the XML it has to be."""
    found, depth, start = [], 0, 0
    for edge in re.finditer(r"<svg\b|</svg>", page):
        if edge[0] == "</svg>":
            depth -= 1
            if depth == 0:
                found.append(page[start : edge.end()])
        else:
            if depth == 0:
                start = edge.start()
            depth += 1
    return [ET.fromstring(source) for source in found]  # noqa: S314 - the program's own output
