"""Drawing lanes of bars with characters: the shared hand of the text Gantt and the reservation table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twill.schedule.letters import plain
from twill.schedule.timeline import WAITING, Bar, Lane

NAME_COLUMNS = 9
MAX_ROWS = 6  # of one lane; what needs more is said to be left out
IDLE = "."


@dataclass(frozen=True)
class Scale:
    """Cycles [begin, end) on `columns` columns."""

    begin: int
    end: int
    columns: int

    def column(self, cycle: int) -> int:
        """The column whose left edge is nearest to `cycle`; may lie outside."""
        span = max(1, self.end - self.begin)
        return ((cycle - self.begin) * self.columns * 2 + span) // (span * 2)

    def cells(self, bar: Bar) -> tuple[int, int]:
        """The columns [first, last) of a bar, at least one, not clipped."""
        first = self.column(bar.begin)
        return first, max(first + 1, self.column(bar.end))


def draw_lane(
    lane: Lane, scale: Scale, letters: Mapping[str, str], *, named: bool, grid: Sequence[int] = ()
) -> list[str]:
    """The rows of one lane, its name in front. A bar is its iteration's last digit and its op's letter repeated.

    With `named`, bars that are wide enough show the op's name and iteration: `[qk.0 #2 ------]`; one that
    reaches over the edge has `<` or `>` there. `grid`: cycles marked with a colon where the lane is idle.
    """
    rows: list[list[str]] = []
    hidden = 0
    for bar in sorted(lane.bars, key=lambda bar: (bar.begin, -bar.end)):
        first, last = scale.cells(bar)
        if last <= 0 or first >= scale.columns:
            continue
        place = _place(rows, first, last, scale.columns)
        if place is None:
            hidden += 1
            continue
        row, begin, end = place
        draw = _named if named else _lettered
        text = draw(bar, end - begin, letters, first >= 0, last <= scale.columns)
        row[begin:end] = list(text)
    rows = rows or [[IDLE] * scale.columns]
    for cycle in grid:
        column = scale.column(cycle)
        if 0 <= column < scale.columns and rows[0][column] == IDLE:
            rows[0][column] = ":"
    name = plain(lane.name)
    lines = []
    for number, row in enumerate(rows):
        heading = (name if len(name) <= NAME_COLUMNS else name[: NAME_COLUMNS - 2] + "..") if number == 0 else ""
        idle = row if number == 0 else [" " if each == IDLE else each for each in row]
        lines.append(f"{heading:>{NAME_COLUMNS}} |{''.join(idle)}|")
    if hidden:
        lines.append(f"{'':>{NAME_COLUMNS}}  (and {hidden} more at the same time)")
    return lines


def ruler(scale: Scale, marks: Sequence[tuple[int, str]]) -> str:
    """A line of texts, each beginning at the column of its cycle; texts that would run into the next are cut."""
    line = [" "] * (scale.columns + 1)
    placed = [(scale.column(cycle), text) for cycle, text in marks]
    for at, (column, text) in enumerate(placed):
        until = placed[at + 1][0] - 1 if at + 1 < len(placed) else len(line)
        for offset, each in enumerate(plain(text)):
            if 0 <= column + offset < min(until, len(line)):
                line[column + offset] = each
    return " " * (NAME_COLUMNS + 2) + "".join(line).rstrip()


def _place(rows: list[list[str]], first: int, last: int, columns: int) -> tuple[list[str], int, int] | None:
    """A row that is idle on the columns [first, last), cut to the picture; None past the last row.

    A wide bar gives way by a column or two and a narrow one moves by one, so that neighbours too
    short for columns of their own do not push each other to another row.
    """
    begin, end = max(0, first), min(last, columns)
    trims = [(0, 0), (1, -1), (-1, 1)] if end - begin < 3 else [(0, 0), (1, 0), (0, 1)]
    trims += [(2, 0), (0, 2)] if end - begin >= 5 else []
    for row in rows:
        for left, right in trims:
            inside = begin + left >= 0 and end - right <= columns
            if inside and all(each == IDLE for each in row[begin + left : end - right]):
                return row, begin + left, end - right
    if len(rows) == MAX_ROWS:
        return None
    rows.append([IDLE] * columns)
    return rows[-1], begin, end


def _lettered(bar: Bar, width: int, letters: Mapping[str, str], opens: bool, closes: bool) -> str:
    letter = letters[bar.op.id]
    if bar.op.unit == WAITING:
        return letter * width
    return letter if width == 1 else str(bar.iteration % 10) + letter * (width - 1)


def _named(bar: Bar, width: int, letters: Mapping[str, str], opens: bool, closes: bool) -> str:
    name, iteration = plain(bar.op.id), str(bar.iteration)
    left, right = "[" if opens else "<", "]" if closes else ">"
    for text in (f"{name} #{iteration}", f"{letters[bar.op.id]} #{iteration}"):
        if len(text) + 2 <= width:
            fill = " " + "-" * (width - len(text) - 3) if width > len(text) + 2 else ""
            return left + text + fill + right
    return _lettered(bar, width, letters, opens, closes)
