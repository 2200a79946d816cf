"""A name space as a picture: for graphviz (dot), for mermaid, or as SVG that needs no other program.

What is drawn is a `Space`: places in the tree of names, what is to be seen at each, in the order in which it
is searched, and where that comes from. Only the drawing is here: text in, text out. What a name space
consists of is for the caller to know; `nsh.cmd.nsgraph` does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

KINDS = {"server": "9P server", "host": "host", "memory": "memory", "device": "device"}
"""What an origin may be, and how a person is told."""

_PALETTE = ("#0969da", "#8250df", "#cf222e", "#1b7c83", "#bc4c00", "#bf3989")
_COLORS = {"host": "#1a7f37", "memory": "#9a6700", "device": "#6e7781"}
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Origin(NamedTuple):
    """Where files come from. ``kind``: one of `KINDS`; ``label``: an address, or a name."""

    kind: str
    label: str


class Member(NamedTuple):
    """One of the things to be seen at a place.

    ``source``: the name that was bound, or the address that was mounted; ``origin``: a number in
    `Space.origins`; ``mounted``: it is the root of a server; ``create``: new files may be made in it
    (-c); ``own``: it is the directory itself, as it was before.
    """

    source: str
    origin: int
    mounted: bool = False
    create: bool = False
    own: bool = False


class Place(NamedTuple):
    """A mount point, and its members in the order in which they are searched."""

    name: str
    members: tuple[Member, ...]

    @property
    def creator(self) -> int | None:
        """The number of the member in which new files are made; None: they are refused."""
        return next((i for i, member in enumerate(self.members) if member.create), None)


class Space(NamedTuple):
    """A name space. ``title``: whose it is; ``dot``: the current directory."""

    title: str
    dot: str
    places: tuple[Place, ...]
    origins: tuple[Origin, ...]


class Branch(NamedTuple):
    """A place in the tree of names: ``parent`` is the number of the branch above it, if any."""

    place: Place
    depth: int
    parent: int | None


def tree(places: tuple[Place, ...]) -> list[Branch]:
    """The places sorted by name, each below the nearest one that its name leads through."""
    branches: list[Branch] = []
    above: list[tuple[list[str], int]] = []
    for elements, place in sorted(((_elements(p.name), p) for p in places), key=lambda pair: pair[0]):
        while above and elements[: len(above[-1][0])] != above[-1][0]:
            above.pop()
        branches.append(Branch(place, len(above), above[-1][1] if above else None))
        if not above or above[-1][0] != elements:
            above.append((elements, len(branches) - 1))
    return branches


def _elements(name: str) -> list[str]:
    """``/`` alone is the beginning of every name that begins with a slash."""
    if name.startswith("/"):
        return ["/", *filter(None, name.split("/"))]
    return name.split("/")


def colors(space: Space) -> list[str]:
    """A colour for each origin: its kind's, but for each server one of its own."""
    servers = [i for i, origin in enumerate(space.origins) if origin.kind == "server"]
    return [
        _COLORS.get(origin.kind) or _PALETTE[servers.index(i) % len(_PALETTE)]
        for i, origin in enumerate(space.origins)
    ]


def remark(space: Space, member: Member) -> str:
    """What is to be said of a member besides its name: a device is not drawn by itself, but told here."""
    if member.own:
        return "(itself)"
    origin = space.origins[member.origin]
    return origin.label if origin.kind == "device" else ""


def drawn(space: Space) -> list[int]:
    """The numbers of the origins that are drawn: all but the devices."""
    return [i for i, origin in enumerate(space.origins) if origin.kind != "device"]


def _printable(text: str) -> str:
    """``text`` without what XML cannot hold: control characters, and bytes that are no UTF-8."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _escape(text: str) -> str:
    """``text`` as XML and HTML have it."""
    text = _printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace(">", "&gt;").replace('"', "&quot;")


# --- dot -----------------------------------------------------------------------------------------


def dot(space: Space) -> str:
    """The picture in graphviz's language; ``dot -Tpdf`` makes a page of it."""
    lines = [
        "digraph namespace {",
        "\trankdir=LR; nodesep=0.15; ranksep=1.2; labelloc=t; fontname=sans",
        f'\tlabel="{_dot_string(f"{space.title}, in {space.dot}")}"',
        "\tnode [fontname=monospace fontsize=11 shape=plain]",
    ]
    branches, tints, origins = tree(space.places), colors(space), drawn(space)
    for i, branch in enumerate(branches):
        lines.append(f"\tp{i} [label=<{_dot_table(space, branch.place, tints)}>]")
    for i in origins:
        kind, label = KINDS[space.origins[i].kind], _dot_string(space.origins[i].label)
        lines.append(f'\to{i} [shape=box style=rounded color="{tints[i]}" label="{kind}\\n{label}"]')
    for i, branch in enumerate(branches):
        for j, member in enumerate(branch.place.members):
            if member.origin in origins:
                style = f'color="{tints[member.origin]}" penwidth={2 if member.mounted else 1}'
                lines.append(f"\tp{i}:m{j}:e -> o{member.origin} [{style}]")
    if len(branches) > 1:  # one below the other, in the order of the tree
        lines.append(f"\t{{rank=same; {' -> '.join(f'p{i}' for i in range(len(branches)))} [style=invis]}}")
    lines.append("}")
    return "\n".join(lines) + "\n"


def _dot_table(space: Space, place: Place, tints: list[str]) -> str:
    """A mount point as a table: its name, and below it a row for each member."""
    rows = [f'<TR><TD COLSPAN="3" ALIGN="LEFT" BGCOLOR="#eaeef2"><B>{_escape(place.name)}</B></TD></TR>']
    for j, member in enumerate(place.members):
        number = str(j + 1) if len(place.members) > 1 else " "
        text = _escape(f"{member.source} {remark(space, member)}".rstrip())
        rows.append(
            f'<TR><TD><FONT COLOR="{tints[member.origin]}">{number}</FONT></TD>'
            f'<TD ALIGN="LEFT">{text}</TD><TD PORT="m{j}">{"-c" if member.create else " "}</TD></TR>'
        )
    return f'<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="4">{"".join(rows)}</TABLE>'


def _dot_string(text: str) -> str:
    """The inside of a quoted string."""
    return _printable(text).replace("\\", "\\\\").replace('"', '\\"')


# --- mermaid -------------------------------------------------------------------------------------


def mermaid(space: Space) -> str:
    """The picture as a mermaid flowchart, which many a web page and README shows."""
    lines = ["flowchart LR"]
    branches, tints, origins = tree(space.places), colors(space), drawn(space)
    for i, branch in enumerate(branches):
        lines.append(f"  subgraph p{i}[{_mermaid(branch.place.name)}]")
        for j, member in enumerate(branch.place.members):
            number = f"{j + 1}: " if len(branch.place.members) > 1 else ""
            words = [number + member.source, remark(space, member), "-c" if member.create else ""]
            lines.append(f"    p{i}m{j}[{_mermaid(' '.join(filter(None, words)))}]")
        lines.append("  end")
    for i in origins:
        origin = space.origins[i]
        lines.append(f"  o{i}([{_mermaid(f'{KINDS[origin.kind]}: {origin.label}')}])")
        lines.append(f"  style o{i} stroke:{tints[i]},stroke-width:2px")
    for i, branch in enumerate(branches):
        for j, member in enumerate(branch.place.members):
            if member.origin in origins:
                lines.append(f"  p{i}m{j} {'==>' if member.mounted else '-->'} o{member.origin}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """A quoted text; what could mean something, in mermaid's or markdown's eyes, is given by its number."""
    plain = (ch if ch.isalnum() or ch in " /.,:()" else f"#{ord(ch)};" for ch in _printable(text))
    return f'"{"".join(plain)}"'


# --- SVG -----------------------------------------------------------------------------------------

CELL, SMALL_CELL = 7.85, 6.65
"""How wide a letter is, of a monospaced font of 13 and of 11 pixels."""
ROW, CARD_PADDING, GAP = 26, 4, 12
"""Pixels: the height of a member, what is above and below all of them, and between two places."""
MARGIN, INDENT, HEADER, LEGEND_ROW = 28, 18, 74, 24
LINKS = 130
"""Pixels between the places and the origins, for the lines."""
BOX, BOX_GAP = 46, 14
LONGEST = 44
"""Letters of a name that are shown; a longer one loses its middle."""

_GREEN = "#1a7f37"
_STYLE = """
text { font-family: ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace;
  font-size: 13px; fill: #1f2328; white-space: pre }
.small { font-size: 11px; fill: #59636e }
.faint { fill: #818b98 }
.title { font-size: 17px; font-weight: bold }
.name { font-weight: bold }
.number { font-size: 11px; font-weight: bold; fill: #ffffff; text-anchor: middle }
.card { fill: #ffffff; stroke: #d1d9e0 }
.union { stroke: #818b98; stroke-width: 1.5 }
.tree { fill: none; stroke: #c5ccd3; stroke-width: 1.5 }
.rule { stroke: #eaeef2 }
.link { fill: none; stroke-opacity: 0.7 }
"""


def svg(space: Space) -> str:
    """The picture as SVG: the tree of names, what is at each place, and lines to where it comes from."""
    return "\n".join(filter(None, Drawing(space).lines())) + "\n"


def cells(text: str) -> int:
    """How many columns of a monospaced font the text takes."""
    wide = sum(unicodedata.east_asian_width(ch) in "WF" for ch in text)
    return len(text) + wide - sum(unicodedata.combining(ch) != 0 for ch in text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text that is too long loses its middle."""
    if len(text) <= longest:
        return text
    tail = longest * 2 // 3
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


class Drawing:
    """Where everything is, and the SVG elements that show it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._colors = colors(space)
        self._branches = tree(space.places)
        self._tops: list[float] = []  # of the card of each branch
        y: float = HEADER
        for branch in self._branches:
            self._tops.append(y)
            y += len(branch.place.members) * ROW + 2 * CARD_PADDING + GAP
        names = [b.depth * INDENT + cells(shortened(b.place.name)) * CELL for b in self._branches]
        self._cards = MARGIN + max(names, default=0) + 30
        rows = [self._row(member) for branch in self._branches for member in branch.place.members]
        texts = [cells(f"{source} {note}".rstrip()) * CELL for source, note in rows]
        self._card_width = 36 + max(texts, default=0) + 56
        self._boxes = self._cards + self._card_width + LINKS
        labels = [cells(shortened(space.origins[i].label)) * CELL for i in drawn(space)]
        self._box_width = max([*labels, 70]) + 32
        self._box_tops = self._place_boxes(y - GAP)
        self._bottom = max([y - GAP, *(top + BOX for top in self._box_tops.values())])
        self._width = self._boxes + self._box_width + MARGIN

    def _row(self, member: Member) -> tuple[str, str]:
        """What is written for a member: its source, and a note."""
        return shortened(member.source), remark(self._space, member)

    def _middle(self, branch: int, member: int) -> float:
        """The height at which a member's line stands."""
        return self._tops[branch] + CARD_PADDING + (member + 0.5) * ROW

    def _place_boxes(self, bottom: float) -> dict[int, float]:
        """The tops of the origins' boxes: each beside where it is mounted or, if it is not, its files."""
        wanted = {i: self._height(i) - BOX / 2 for i in drawn(self._space)}
        order = sorted(wanted, key=lambda i: wanted[i])
        tops: dict[int, float] = {}
        free: float = HEADER
        for i in order:
            tops[i] = max(wanted[i], free)
            free = tops[i] + BOX + BOX_GAP
        limit = max(bottom, HEADER + len(order) * (BOX + BOX_GAP) - BOX_GAP)
        for i in reversed(order):
            tops[i] = min(tops[i], limit - BOX)
            limit = tops[i] - BOX_GAP
        return tops

    def _height(self, origin: int) -> float:
        """The mean of the heights at which the lines to a box begin; mounts count alone if there are any."""
        ends = [
            (member.mounted, self._middle(i, j))
            for i, branch in enumerate(self._branches)
            for j, member in enumerate(branch.place.members)
            if member.origin == origin
        ]
        heights = [y for mounted, y in ends if mounted] or [y for _, y in ends] or [HEADER]
        return sum(heights) / len(heights)

    # --- the elements --------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """The document."""
        legend, height = self._legend(self._bottom + 28)
        size = f"{self._width:.0f}", f"{height:.0f}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="0 0 {size[0]} {size[1]}">'
        )
        yield f"<title>{_escape(self._space.title)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield '<rect width="100%" height="100%" fill="#f6f8fa"/>'
        yield from self._heading()
        for i in range(len(self._branches)):
            yield from self._twig(i)
        for i in range(len(self._branches)):
            yield from self._links(i)
        for i, branch in enumerate(self._branches):
            yield from self._name(i, branch)
            yield from self._card(i, branch.place)
        for i in self._box_tops:
            yield from self._box(i)
        yield from legend
        yield "</svg>"

    def _heading(self) -> Iterator[str]:
        space = self._space
        unions = sum(len(place.members) > 1 for place in space.places)
        counts = f"{_count(len(space.places), 'mount point')}, {_count(unions, 'union')}"
        yield _text(MARGIN, 30, shortened(space.title, 60), "title")
        yield _text(MARGIN, 52, f"{counts}; current directory {shortened(space.dot, 60)}", "small")

    def _twig(self, i: int) -> Iterator[str]:
        """The line from the name above to a name."""
        branch = self._branches[i]
        if branch.parent is None:
            return
        x = MARGIN + (branch.depth - 1) * INDENT + 5
        top, y = self._middle(branch.parent, 0) + 11, self._middle(i, 0)
        yield f'<path class="tree" d="M{x:.1f} {top:.1f}V{y - 6:.1f}q0 6 6 6h{INDENT - 14}"/>'

    def _name(self, i: int, branch: Branch) -> Iterator[str]:
        """The name of a place; the part that the name above it has already is faint."""
        name = shortened(branch.place.name)
        x, y = MARGIN + branch.depth * INDENT, self._middle(i, 0)
        above = self._branches[branch.parent].place.name.rstrip("/") if branch.parent is not None else ""
        shared = len(above) + 1 if above and name.startswith(f"{above}/") else 0
        parts = f'<tspan class="faint">{_escape(name[:shared])}</tspan>' if shared else ""
        yield (
            f'<text x="{x:.1f}" y="{y + 4.5:.1f}">{parts}<tspan class="name">{_escape(name[shared:])}</tspan>'
            f"<title>{_escape(branch.place.name)}</title></text>"
        )
        end = x + cells(name) * CELL + 10
        yield f'<path class="tree" stroke-dasharray="1 4" d="M{end:.1f} {y:.1f}H{self._cards - 4:.1f}"/>'

    def _card(self, i: int, place: Place) -> Iterator[str]:
        """The members of a place, one below the other."""
        x, y, width = self._cards, self._tops[i], self._card_width
        height = len(place.members) * ROW + 2 * CARD_PADDING
        union = len(place.members) > 1
        kind = "card union" if union else "card"
        yield f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="8"/>'
        for j, member in enumerate(place.members):
            middle = self._middle(i, j)
            if j:
                edge = middle - ROW / 2
                yield f'<path class="rule" d="M{x + 34:.1f} {edge:.1f}H{x + width - 10:.1f}"/>'
            yield from _spot(x + 18, middle, self._colors[member.origin], str(j + 1) if union else "")
            source, note = self._row(member)
            yield _text(x + 36, middle, source, "faint" if member.own else "", member.source)
            yield _text(x + 36 + (cells(source) + 1) * CELL, middle, note, "faint")
            if member.create:
                yield from _mark(x + width - 40, middle, full=j == place.creator)

    def _links(self, i: int) -> Iterator[str]:
        """The lines from the members of a place to where they come from; a server's root has a thick one."""
        start, end = self._cards + self._card_width, self._boxes
        bend = (start + end) / 2
        for j, member in enumerate(self._branches[i].place.members):
            if member.origin not in self._box_tops:
                continue
            y1, y2 = self._middle(i, j), self._box_tops[member.origin] + BOX / 2
            curve = f"M{start:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {end:.1f} {y2:.1f}"
            yield _line(curve, self._colors[member.origin], member.mounted)

    def _box(self, i: int) -> Iterator[str]:
        origin, color = self._space.origins[i], self._colors[i]
        x, y = self._boxes, self._box_tops[i]
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{self._box_width:.1f}" height="{BOX}" rx="8" '
            f'fill="#ffffff" stroke="{color}" stroke-width="1.5"/>'
        )
        yield f'<path fill="{color}" d="M{x + 8:.1f} {y:.1f}q-8 0 -8 8v{BOX - 16}q0 8 8 8z"/>'
        yield _text(x + 20, y + 14, KINDS[origin.kind], "small")
        yield _text(x + 20, y + 31, shortened(origin.label), "name", origin.label)

    def _legend(self, y: float) -> tuple[list[str], float]:
        """What the signs mean, in as many lines as it takes, and where the picture ends."""
        grey = _COLORS["device"]
        items: list[tuple[str, Callable[[float, float], Iterator[str]]]] = [
            ("searched in this order", lambda x, y: _spot(x + 14, y, grey, "1")),
            ("new files are made here", lambda x, y: _mark(x, y, full=True)),
            ("may be made here, but are not", lambda x, y: _mark(x, y, full=False)),
            ("root of a server", lambda x, y: iter([_line(f"M{x:.1f} {y:.1f}h28", grey, True)])),
            ("bound from there", lambda x, y: iter([_line(f"M{x:.1f} {y:.1f}h28", grey, False)])),
        ]
        out: list[str] = []
        x: float = MARGIN
        for text, sign in items:
            width = 36 + cells(text) * SMALL_CELL
            if x > MARGIN and x + width > self._width - MARGIN:
                x, y = MARGIN, y + LEGEND_ROW
            out += sign(x, y)
            out.append(_text(x + 36, y, text, "small"))
            x += width + 24
        return out, y + LEGEND_ROW


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _spot(x: float, y: float, color: str, number: str) -> Iterator[str]:
    """A spot in the colour of an origin, with the number of a member of a union."""
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{8.5 if number else 4}" fill="{color}"/>'
    yield _text(x, y, number, "number")


def _mark(x: float, y: float, *, full: bool) -> Iterator[str]:
    """The sign of -c; it is full where new files are made."""
    fill, color = (_GREEN, "#ffffff") if full else ("#ffffff", _GREEN)
    place = f'x="{x:.1f}" y="{y - 9:.1f}" width="28" height="18" rx="9"'
    yield f'<rect {place} fill="{fill}" stroke="{_GREEN}"/>'
    yield f'<text class="number" x="{x + 14:.1f}" y="{y + 4:.1f}" style="fill:{color}">-c</text>'


def _line(path: str, color: str, thick: bool) -> str:
    return f'<path class="link" stroke="{color}" stroke-width="{3 if thick else 1.5}" d="{path}"/>'


def _text(x: float, y: float, text: str, kind: str = "", full: str = "") -> str:
    """A line of text whose middle is at ``y``; ``full`` is shown where the pointer rests."""
    if not text:
        return ""
    title = f"<title>{_escape(full)}</title>" if full and full != text else ""
    down = {"small": 4.0, "number": 4.0, "title": 6.0}.get(kind, 4.5)
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y + down:.1f}"{attribute}>{_escape(text)}{title}</text>'


FORMATS: dict[str, Callable[[Space], str]] = {"dot": dot, "mermaid": mermaid, "svg": svg}
