"""Certificates of true claims, and false ones caught: in the library and as the command."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.solve.instances import HOPPER, attention, problem
from twill.certify import Certificate, certificate_text, certify, examination
from twill.certify.question import Answer
from twill.certify.tiers import score
from twill.cli import main
from twill.schedule import files
from twill.schedule.problem import Dep, Op
from twill.schedule.schedule import Schedule, Tier
from twill.solve import TIERS, solve
from twill.solve.tiers import SCORES

SHIPPED = sorted((Path(__file__).parents[2] / "schedules").glob("*/*.json"))


@pytest.fixture(scope="module")
def one() -> Schedule:
    """Attention with one sub-tile: II 2108 by a refutation from MII 2048 on."""
    return solve(attention(1), time_limit=60)


@pytest.fixture(scope="module")
def certificate(one: Schedule) -> Certificate:
    return certify(one)


def test_refutations_are_confirmed_by_both(certificate: Certificate) -> None:
    assert certificate.confirmed
    assert [(each.first, each.last, each.cp_sat, each.z3) for each in certificate.intervals] == [
        (2048, 2107, "refuted", "refuted")
    ]
    assert certificate.bounds.mii == 2048


def test_every_tier_is_scored_again_and_settled(certificate: Certificate, one: Schedule) -> None:
    assert [tier.name for tier in certificate.tiers] == ["ii", *TIERS]
    for tier in certificate.tiers[1:]:
        assert (tier.value, tier.z3) == (tier.scored, "refuted")
        assert score(one, tier.name) == SCORES[tier.name](one)


def lowered(schedule: Schedule, ii: int) -> Schedule:
    """The schedule as if its bound were `ii`, its tier too."""
    tiers = tuple(replace(tier, bound=ii, proved=False) if tier.name == "ii" else tier for tier in schedule.tiers)
    return replace(schedule, lower_bound=ii, tiers=tiers)


def later(schedule: Schedule) -> Schedule:
    """A valid schedule at a longer interval, with the claim that it is optimal."""
    from twill.certify.question import refuted

    found = refuted(schedule.problem, schedule.ii + 12).schedule
    assert found is not None
    reason = f"II {found.ii - 1} refuted, as was every II from MII 2048 on"
    return replace(found, status="optimal", lower_bound=found.ii, reason=reason)


def with_tier(schedule: Schedule, name: str, **changes: Any) -> Schedule:
    tiers = tuple(replace(tier, **changes) if tier.name == name else tier for tier in schedule.tiers)
    return replace(schedule, tiers=tiers)


FALSE: dict[str, tuple[Callable[[Schedule], Schedule], str]] = {
    "an II that is not the smallest": (later, "no II below 2120 is claimed to be possible, but Z3 finds a schedule"),
    "a unit that does not bind": (
        lambda s: replace(s, reason="ResMII of unit SFU (ops exp.0, alpha.0)"),
        "that is II >= 1028, not 2108",
    ),
    "no such unit": (lambda s: replace(s, reason="ResMII of unit DPU (ops a)"), "which no op of the problem occupies"),
    "no such cycle": (
        lambda s: replace(s, reason="RecMII of cycle qk.0 -> pv.0 -> qk.0"),
        "the dependences form no such cycle",
    ),
    "a cycle that does not bind": (
        lambda s: replace(s, reason="RecMII of cycle max.0 -> max.0"),
        "that is II >= 188, not 2108",
    ),
    "another II refuted": (
        lambda s: replace(s, reason="II 2100 refuted, as was every II from MII 2048 on"),
        "does not make 2108 the smallest",
    ),
    "an MII that is none": (
        lambda s: replace(s, reason="II 2107 refuted, as was every II from MII 2108 on"),
        "takes MII for 2108, but units and recurrences exclude II below 2048 only",
    ),
    "a tier's value": (
        lambda s: with_tier(s, "total time", value=1, bound=1),
        "the tier total time is 1 in the file, but its placements score",
    ),
    "a tier's bound": (lambda s: with_tier(s, "groups", bound=1), "claimed to be proved at 2 with bound 1"),
    "the bound of ii": (lambda s: with_tier(s, "ii", bound=2047), "the tier ii has the bound 2047"),
}


@pytest.mark.parametrize("what", FALSE)
def test_false_claims_are_caught(one: Schedule, what: str, tmp_path: Path) -> None:
    change, says = FALSE[what]
    path = tmp_path / "edited.json"
    files.write(path, change(one))
    done = CliRunner().invoke(main, ["certify", str(path), "--time-limit", "10"])
    assert done.exit_code == 1
    assert says in done.stderr
    assert "\n" not in done.stderr.strip()
    assert "verdict FAILED" in done.stdout


def test_a_tier_that_could_be_better_is_caught() -> None:
    # b may start 4 cycles after a; at 6 the loop is 2 cycles longer than it need be.
    given = problem([Op("a", "A", 4, 1, 4), Op("b", "B", 4, 1, 4)], [Dep("a", "b", 0, 4)])
    best = solve(given, tiers=("total time",))
    late = {**best.placements, "b": replace(best.placements["b"], stage=1, slot=2)}
    tier = Tier("total time", 99 * 4 + 10, 99 * 4 + 10, True)
    worse = replace(best, placements=late, length=10, tiers=(best.tiers[0], tier))
    assert certify(best).holds
    assert certify(worse).failures == (
        "the tier total time is claimed to be 406 at best, but Z3 finds a schedule with 404 there and as good in all"
        " before",
    )


def test_feasible_infeasible_and_unknown() -> None:
    best = solve(attention(1), tiers=())
    feasible = replace(
        lowered(best, 2100), status="feasible", reason="II is between 2100 and 2108; the proof was not finished"
    )
    found = certify(feasible)
    assert found.confirmed
    assert [(each.first, each.last) for each in found.intervals] == [(2048, 2099)]

    small = replace(attention(1), limits=replace(HOPPER, smem_bytes=65535))
    none = solve(small)
    assert none.status == "infeasible"
    endless = certify(none)
    assert (endless.confirmed, endless.endless) == (True, True)
    wrong = certify(replace(none, problem=attention(1)))
    assert "the problem is claimed infeasible, but Z3 finds a schedule" in wrong.failures[0]

    unknown = solve(attention(1), time_limit=0)
    assert certify(unknown).confirmed
    assert "no II below 2110 is claimed to be possible" in certify(replace(unknown, lower_bound=2110)).failures[0]


def test_where_z3_does_not_finish(one: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """It settles the last interval and the one before, all others at once not, nor the tiers."""

    def slow(self: Any, time_limit: float, **_: Any) -> Answer:
        settled = self.low == self.high and self.low in (2106, 2107)
        return Answer("refuted" if settled else "unknown")

    monkeypatch.setattr(examination.Question, "ask", slow)
    found = certify(one)
    assert [(each.first, each.last, each.z3) for each in found.intervals] == [
        (2048, 2105, "unknown"),
        (2106, 2107, "refuted"),
    ]
    assert found.holds
    assert not found.confirmed
    text = " ".join(certificate_text(found).split())
    assert "II 2048 to 2105 (58 intervals): refuted by CP-SAT only; Z3: not settled in its time" in text
    assert "II 2106 to 2107 (2 intervals): refuted by CP-SAT and, on an encoding of its own, by Z3" in text
    assert "as claimed: Z3 did not settle it" in text


def test_one_interval(one: Schedule) -> None:
    found = certify(one, ii=2107)
    assert [(each.first, each.last, each.z3) for each in found.intervals] == [(2107, 2107, "refuted")]
    assert {tier.z3 for tier in found.tiers} == {"not tried"}
    assert (found.holds, found.confirmed) == (True, False)
    assert "only II 2107 was asked for" in certificate_text(found)
    above = certify(one, ii=2108)
    assert above.holds
    assert above.notes[0] == "Z3 finds a schedule with II 2108; the claim does not exclude it"


def test_ctrl_c_keeps_what_was_confirmed(one: Schedule) -> None:
    def tell(message: str) -> None:
        if message == "Z3: refuting II 2048 to 2106":
            raise KeyboardInterrupt

    found = certify(one, progress=tell)
    assert found.stopped
    assert [(each.first, each.last, each.cp_sat, each.z3) for each in found.intervals] == [
        (2048, 2106, "not tried", "not tried"),
        (2107, 2107, "not tried", "refuted"),
    ]
    assert found.holds


def test_the_command_stops_at_ctrl_c(one: Schedule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    files.write(path, one)

    def pressing(*arguments: Any, **options: Any) -> Schedule:
        signal.raise_signal(signal.SIGINT)
        return solve(*arguments, **options)

    monkeypatch.setattr(examination, "solve", pressing)
    done = CliRunner().invoke(main, ["certify", str(path), "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["stopped"] is True
    assert data["refuted"][-1]["z3"] == "refuted"


def test_the_command_and_its_file(one: Schedule, tmp_path: Path) -> None:
    path, output = tmp_path / "one.json", tmp_path / "certificate.json"
    files.write(path, one)
    done = CliRunner().invoke(main, ["certify", str(path), "-o", str(output), "--json"])
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    data = json.loads(done.stdout)
    assert data == json.loads(output.read_text())
    assert (data["format"], data["holds"], data["confirmed"]) == ("twill-certificate/1", True, True)
    assert data["bound"]["res_mii"]["ops"] == {"qk.0": 1024, "pv.0": 1024}
    assert sum(edge["latency"] + edge["hop"] for edge in data["bound"]["rec_mii"]["edges"]) == 1222
    assert data["refuted"] == [{"first": 2048, "last": 2107, "cp_sat": "refuted", "z3": "refuted"}]


def test_what_cannot_be_written_or_read_is_refused(one: Schedule, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    files.write(path, one)
    done = CliRunner().invoke(main, ["certify", str(path), "-o", str(tmp_path / "no" / "c.json")])
    assert done.exit_code == 2
    assert CliRunner().invoke(main, ["certify", str(tmp_path / "none.json")]).exit_code == 2
    broken = replace(one, placements={**one.placements, "qk.0": replace(one.placements["qk.0"], slot=5)})
    files.write(path, broken)
    done = CliRunner().invoke(main, ["certify", str(path)])
    assert done.exit_code == 1
    assert "holds a schedule that is not valid" in done.stderr


def test_a_broken_schedule_is_no_certificate(one: Schedule) -> None:
    found = certify(replace(one, length=1))
    assert not found.holds
    assert found.broken[0].startswith("structure: length is given as 1")


@pytest.mark.parametrize("path", SHIPPED[:1], ids=lambda path: path.stem)
def test_a_shipped_schedule(path: Path) -> None:
    shipped(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED[1:], ids=lambda path: path.stem)
def test_every_shipped_schedule(path: Path) -> None:
    shipped(path)


def shipped(path: Path) -> None:
    found = certify(files.read(path).schedule)
    assert found.confirmed
    assert found.failures == ()
    assert all(tier.z3 == "refuted" for tier in found.tiers if tier.claimed and tier.name != "ii")
