"""The pictures show what the schedule says, fit where they must, and survive hostile names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from attention_loop import II, schedule

from twill.errors import InputError, NoSchedule
from twill.schedule.gantt_svg import figure, heading
from twill.schedule.letters import letters
from twill.schedule.palette import colour
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.render import FORMATS, render
from twill.schedule.reservation import reservation_table
from twill.schedule.schedule import Group, Placement, Schedule
from twill.schedule.timeline import family, lanes, timeline

VALID = schedule()
HOSTILE = '</script><script>alert("x")</script>$\\frac{&\'%{}é日本'


def chain(count: int, name: str = "op", ii: int = 10) -> Schedule:
    """`count` ops one after the other on a unit each, a stage apart."""
    ops = tuple(Op(f"{name}{at}", f"{name}U{at % 3}", 10 // 2, 2, 5) for at in range(count))
    limits = Limits({f"{name}U{at}": count for at in range(3)}, name=name)
    deps = tuple(Dep(a.id, b.id, 0, 5) for a, b in pairwise(ops))
    places = {op.id: Placement(at % 4, (3 * at) % ii, (0,)) for at, op in enumerate(ops)}
    length = max(at.stage * ii + at.slot + 5 for at in places.values())
    task = Problem(name, limits, ops, deps, trip_count=9)
    return Schedule(task, "feasible", ii, 1, name, length, places, {}, (Group(1, 8),))


def test_timeline_draws_the_pipeline_filling_running_and_draining():
    drawn = timeline(VALID)
    assert (drawn.iterations, drawn.steady_begin, drawn.steady_end) == (4, 2 * II, 4 * II)
    assert drawn.end == 3 * II + VALID.length
    (tensor_core,) = [lane for lane in drawn.lanes if lane.name == "TC"]
    assert len(tensor_core.bars) == 4 * 4
    assert tensor_core.rows == 1
    steady = [bar for bar in tensor_core.bars if drawn.steady_begin <= bar.begin < drawn.steady_end]
    assert sum(bar.end - bar.begin for bar in steady) == drawn.steady_end - drawn.steady_begin  # never idle


def test_timeline_of_a_short_loop_never_is_steady():
    drawn = timeline(schedule(trip_count=2))
    assert drawn.iterations == 2
    assert not drawn.reaches_steady_state
    assert "steady state is not reached" in render(schedule(trip_count=2), "text")


def test_overlapping_bars_of_a_lane_are_on_different_rows():
    for lane in lanes(chain(12), range(6)):
        for row in range(lane.rows):
            bars = sorted((bar.begin, bar.end) for bar in lane.bars if bar.row == row)
            assert all(first[1] <= second[0] for first, second in pairwise(bars))


def test_text_shows_the_steady_state_and_the_overlap():
    text = render(VALID, "text")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    tensor_core = [line for line in lines if line.lstrip().startswith("TC |")]
    # One turn: the end of s.1, then acc.1, s.0, acc.0, s.1; the sub-tiles take turns on the tensor core.
    assert re.findall(r"[a-z]+\.\d #\d", tensor_core[0]) == ["s.1 #1", "acc.1 #0", "s.0 #2", "acc.0 #1", "s.1 #2"]
    assert ".." not in tensor_core[0]
    assert "0SSSSS" in tensor_core[1]
    assert "steady state" in text
    assert "prologue" in text
    for op in VALID.problem.ops:
        assert f"{letters(VALID.problem)[op.id]} {op.id} ({op.unit} {op.occupancy})" in text


def test_letters_pair_the_sub_tiles():
    key = letters(VALID.problem)
    assert key["s.1"] == key["s.0"].lower() != key["s.0"]
    assert len(set(key.values())) == len(key)
    assert set(letters(chain(200).problem).values()) >= {"#"}


@pytest.mark.parametrize(
    ("id", "subtile", "name"),
    [("s.0", 0, "s"), ("s1", 1, "s"), ("s10.0", 0, "s10"), ("s10", 0, "s10"), ("s.0", None, "s.0"), ("k", 1, "k")],
)
def test_family_is_the_name_without_the_sub_tile(id: str, subtile: int | None, name: str):
    assert family(Op(id, "U", subtile=subtile)) == name


def test_reservation_table_is_ascii_and_narrow():
    for width in (60, 96):
        table = reservation_table(VALID, width)
        assert table.isascii()
        assert max(map(len, table.splitlines())) <= width
        assert len(table.splitlines()) == 1 + 4 + 3
    assert reservation_table(replace(VALID, placements={})) == ""
    assert len(reservation_table(chain(3, "a\nb")).splitlines()) == len(reservation_table(chain(3, "a_b")).splitlines())


def test_reservation_table_rows_cover_the_busy_share():
    for lane, unit, busy in (("TC", "TC", 2048), ("SFU", "SFU", 1040), ("TMA", "TMA", 512)):
        (row,) = [line for line in reservation_table(VALID).splitlines() if line.lstrip().startswith(f"{lane} |")]
        cells = re.sub(r"\.(?=\d)", "_", row.partition("|")[2][:-1])  # the dot of a name is not an idle one
        share = sum(each != "." for each in cells) / len(cells)
        ops = sum(op.unit == unit for op in VALID.problem.ops)
        assert abs(share - busy / II) <= ops / len(cells)  # each bar is rounded to whole columns


def test_svg_is_wellformed_and_reproducible():
    picture = render(VALID, "svg")
    assert picture == render(VALID, "svg")
    texts = ["".join(each.itertext()) for each in ElementTree.fromstring(picture).iter() if each.tag.endswith("text")]
    assert "acc.0 #1" in texts
    assert "steady state: the same every II" in texts


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bars: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        attributes = dict(attrs)
        self.links += [str(attributes[key]) for key in ("src", "href") if key in attributes]
        if str(attributes.get("class")).split(" ")[0] == "bar":
            self.bars.append(attributes)


def test_html_stands_alone_and_tells_each_op():
    text = render(VALID, "html")
    page = Page()
    page.feed(text)
    assert page.links == []
    assert "prefers-color-scheme: dark" in text
    assert len(page.bars) == 2 * 4 * len(VALID.problem.ops)  # on its unit and in its group, four iterations
    details = json.loads(re.search(r'id="ops">(.*?)</script>', text).group(1))
    assert details["acc.1"] == [
        "acc.1",
        "TC busy 512 cycles, issue 20, result after 560",
        "stage 2, slot 238, group 2",
        "sub-tile 1",
        "attention.py:32:9",
    ]
    assert "steady state" in text


def marked(page: Page, mark: str) -> set[str]:
    return {str(bar["data-op"]) for bar in page.bars if mark in str(bar["class"]).split(" ")}


def test_html_points_at_the_unit_that_binds():
    page = Page()
    text = render(VALID, "html")
    page.feed(text)
    assert marked(page, "critical") == {"s.0", "acc.0", "s.1", "acc.1"}
    assert marked(page, "recurrence") == set()
    assert text.count('class="lane binds"') == 1
    assert "<b>Unit TC</b>, outlined, is busy for 2048 of 2048 cycles" in text
    assert 'class="arrow"' not in text


def test_html_draws_the_cycle_that_binds():
    # p.0 -> s.0 of the next iteration takes all of the rest of 2260 cycles (test_facts.py): an arrow a dependence.
    deps = (*VALID.problem.deps, Dep("p.0", "s.0", 1, 1540))
    text = render(replace(VALID, problem=replace(VALID.problem, deps=deps), ii=2260, lower_bound=2260), "html")
    page = Page()
    page.feed(text)
    assert marked(page, "recurrence") == {"s.0", "max.0", "sub.0", "p.0"}
    assert marked(page, "critical") == set()
    assert text.count('class="arrow"') == 4
    assert "2260 cycles in 1 iteration, so no interval below 2260" in text


def test_html_points_at_full_registers():
    groups = (VALID.groups[0], replace(VALID.groups[1], registers=168), VALID.groups[2])  # 163 are held at slot 1536
    text = render(replace(VALID, groups=groups), "html")
    assert "<b>Group 1</b> holds 163 of its 168 registers a thread at slot 1536" in text
    assert text.count('class="cap"') == 2  # one in each turn of the steady state
    assert 'class="cap"' not in render(VALID, "html")


def test_html_says_when_nothing_alone_binds():
    text = render(replace(VALID, ii=II + 100, lower_bound=II + 100), "html")
    assert "No unit and no recurrence alone asks for II 2148. The busiest unit, TC (dotted)" in text
    assert text.count('class="lane busiest"') == 1


def test_perfetto_has_a_thread_for_each_lane():
    trace = json.loads(render(VALID, "perfetto"))
    named = {each["args"]["name"] for each in trace["traceEvents"] if each["name"] == "thread_name"}
    assert {"TC, capacity 1", "group 0, producer, 1 warp", "group 1, 4 warps"} <= named
    runs = [each for each in trace["traceEvents"] if each["name"] == "acc.0 #1"]
    assert [each["ts"] for each in runs] == [II + 3310] * 2
    assert [each["dur"] for each in runs] == [512, 20]
    assert runs[0]["args"]["source"] == "attention.py:32:9"
    (steady,) = [each for each in trace["traceEvents"] if each["name"] == "steady state"]
    assert (steady["ts"], steady["dur"]) == (2 * II, 2 * II)
    tracks = [(e["pid"], e["tid"], e["ts"], e["ts"] + e["dur"]) for e in trace["traceEvents"] if e["ph"] == "X"]
    tracks.sort()
    for first, second in pairwise(tracks):
        assert first[:2] != second[:2] or first[3] <= second[2]


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_names_stay_text(format: str):
    picture = render(chain(5, HOSTILE), format)
    assert "<script>alert" not in picture.replace(json.dumps(HOSTILE), "") or format in ("text", "perfetto")
    if format == "text":
        assert picture.isascii()
        assert max(map(len, picture.splitlines())) <= 100
    if format == "svg":
        ElementTree.fromstring(picture)
    if format == "html":
        page = Page()
        page.feed(picture)
        assert page.tags.count("script") == 2
        assert page.bars[0]["data-op"] == HOSTILE + "0"


@pytest.mark.parametrize("format", FORMATS)
def test_large_and_empty_schedules(format: str):
    assert len(render(chain(300), format)) < 20_000_000
    nothing = replace(VALID, status="infeasible", reason="shared memory", placements={}, groups=(), rings={})
    if format == "text":
        assert "shared memory" in render(nothing, format)
        return
    with pytest.raises(NoSchedule, match="infeasible, shared memory"):
        render(nothing, format)


def test_unknown_format():
    with pytest.raises(InputError, match="Formats: text, svg, html, perfetto"):
        render(VALID, "gif")


def test_ops_without_duration_and_of_more_than_ii_are_drawn():
    ops = (Op("mark", "U"), Op("long", "U", 25, 25, 25))
    task = Problem("edge", Limits({"U": 9}), ops, (), 5)
    places = {"mark": Placement(0, 0, (0,)), "long": Placement(0, 5, (0,))}
    edge = Schedule(task, "feasible", 10, 1, "", 30, places, {}, (Group(1, 8),))
    table = reservation_table(edge)
    assert (
        len([line for line in table.splitlines() if "|" in line]) == 2 * 3
    )  # three iterations of `long` at once, on unit and group
    for format in FORMATS:
        assert render(edge, format)


def test_a_heading_too_long_for_the_figure_leaves_out_the_names_of_ops():
    made = schedule()
    many = replace(made, reason=f"ResMII of unit SFU (ops {', '.join(f's_{i}.0' for i in range(30))})")
    assert heading(many).endswith(f"optimal: ResMII of unit SFU), each takes {made.length}")
    assert made.reason in heading(made)


def test_a_heading_longer_than_a_line_is_drawn_whole():
    long = replace(schedule(), reason="no interval below is possible, " + "within the limits that were learnt, " * 5)
    (axes,) = figure(long).axes
    title = axes.get_title(loc="left")
    assert "\n" in title
    assert title.replace("\n", " ") == heading(long)


def test_more_families_than_hues_have_colours_of_their_own():
    assert len({colour(family, None) for family in range(20)}) == 20
