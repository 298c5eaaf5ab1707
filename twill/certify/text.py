"""A certificate as a short text for people, and as one JSON object (`twill-certificate/1`)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from twill.certify.bounds import Bounds, CycleBound, UnitBound
from twill.certify.certificate import Certificate, Interval, TierCheck

FORMAT = "twill-certificate/1"
WIDTH = 100
MARGIN = 10
SHOWN = 10  # terms of a sum


def certificate_text(certificate: Certificate) -> str:
    """The certificate in lines of at most about 100 columns, the verdict last."""
    parts: list[tuple[str, list[str]]] = [
        ("claim", [_claim(certificate)]),
        ("rules", _rules(certificate)),
        ("bound", list(_bound(certificate.bounds))),
        ("refuted", list(_refutations(certificate))),
        ("tiers", [_tier(tier) for tier in certificate.tiers if tier.name != "ii"]),
        ("note", list(certificate.notes)),
        ("verdict", list(_verdict(certificate))),
    ]
    title = f"{certificate.name} on {certificate.machine}: {certificate.ops} ops, {certificate.deps} dependences"
    return "\n".join([title, *(line for name, sentences in parts for line in _lines(name, sentences))])


def _lines(name: str, sentences: Sequence[str]) -> Iterator[str]:
    for position, sentence in enumerate(sentences):
        head = f"  {name if position == 0 else '':<{MARGIN - 2}}"
        yield textwrap.fill(
            sentence, WIDTH, initial_indent=head, subsequent_indent=" " * MARGIN,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _claim(certificate: Certificate) -> str:
    match certificate.status:
        case "optimal":
            said = f"optimal, II {certificate.ii}"
        case "feasible":
            said = f"feasible, II {certificate.ii}; no II below {certificate.lower_bound}"
        case "infeasible":
            said = "infeasible: no II has a schedule"
        case _:
            said = f"unknown; no II below {certificate.lower_bound}"
    return f"{said} ({certificate.reason})" if certificate.reason else said


def _rules(certificate: Certificate) -> list[str]:
    if certificate.broken:
        return [f"BROKEN: {each}" for each in certificate.broken]
    if not certificate.ii:
        return ["nothing is placed, so there is no rule to break"]
    return ["the independent checker accepts every rule"]


def _bound(bounds: Bounds) -> Iterator[str]:
    yield f"MII = {bounds.mii}"
    if bounds.unit is not None:
        yield _unit(bounds.unit)
    if bounds.cycle is not None:
        yield _cycle(bounds.cycle)


def _unit(unit: UnitBound) -> str:
    terms = _sum([f"{id} {occupancy}" for id, occupancy in unit.ops])
    capacity = f", at capacity {unit.capacity}" if unit.capacity > 1 else ""
    return f"ResMII = {unit.ii}: unit {unit.unit} is busy for {terms} = {unit.cycles} cycles an iteration{capacity}"


def _cycle(cycle: CycleBound) -> str:
    terms = []
    for edge in cycle.edges:
        hop = f" + hop {edge.hop}" if edge.hop else ""
        back = f" [distance {edge.distance}]" if edge.distance else ""
        terms.append(f"{edge.src} -> {edge.dst} {edge.latency}{hop}{back}")
    iterations = f"{cycle.distance} iteration" + ("s" if cycle.distance > 1 else "")
    return f"RecMII = {cycle.ii}: {_sum(terms, ', ')} are {cycle.cycles} cycles in {iterations}"


def _sum(terms: Sequence[str], plus: str = " + ") -> str:
    more = [f"({len(terms) - SHOWN} more)"] if len(terms) > SHOWN else []
    return plus.join([*terms[:SHOWN], *more])


def _refutations(certificate: Certificate) -> Iterator[str]:
    if not certificate.intervals:
        yield "nothing to refute: units and recurrences exclude every shorter II"
    for each in certificate.intervals:
        if certificate.endless:
            where = f"every II from {each.first} on"
        elif each.first == each.last:
            where = f"II {each.first}"
        else:
            where = f"II {each.first} to {each.last} ({each.count} intervals)"
        yield f"{where}: {_who(each)}"


def _who(each: Interval) -> str:
    found = [name for name, said in (("CP-SAT", each.cp_sat), ("Z3", each.z3)) if said == "schedule found"]
    if found:
        return f"NOT refuted: {' and '.join(found)} found a schedule"
    if each.cp_sat == each.z3 == "refuted":
        return "refuted by CP-SAT and, on an encoding of its own, by Z3"
    if each.cp_sat == "refuted":
        return f"refuted by CP-SAT only; Z3: {_short(each.z3)}"
    if each.z3 == "refuted":
        return f"refuted by Z3 only; CP-SAT: {_short(each.cp_sat)}"
    return f"not confirmed; CP-SAT: {_short(each.cp_sat)}; Z3: {_short(each.z3)}"


def _short(proof: str) -> str:
    return "not settled in its time" if proof == "unknown" else proof


def _tier(tier: TierCheck) -> str:
    if tier.scored is None:
        return f"{tier.name} {tier.value}: as claimed, not scored"
    claim = "claimed to be proved" if tier.claimed else f"not claimed to be proved (bound {tier.bound})"
    match tier.z3:
        case "refuted":
            proof = "Z3 refutes anything better" + ("" if tier.claimed else " than the bound")
        case "schedule found":
            proof = "Z3 FINDS BETTER"
        case "unknown":
            proof = "as claimed: Z3 did not settle it"
        case _:
            proof = "as claimed, not re-run"
    return f"{tier.name} {tier.value}: scored again {tier.scored}; {claim}; {proof}"


def _verdict(certificate: Certificate) -> Iterator[str]:
    if certificate.failures:
        yield f"FAILED: {'; '.join(certificate.failures)}"
        return
    if certificate.stopped:
        yield "stopped by Ctrl-C; what was confirmed before stands above"
    if certificate.only is not None:
        yield f"only II {certificate.only} was asked for: see above; the rest of the claim was not examined"
    elif not certificate.confirmed:
        weak = [each for each in certificate.intervals if not each.cp_sat == each.z3 == "refuted"]
        rest = sum(each.count for each in weak)
        yield (
            f"not refuted a second time: {rest} interval{'s' if rest > 1 else ''} (see above); nothing that was"
            " checked is false. Give it more time with --time-limit"
        )
    elif certificate.status == "feasible":
        yield f"confirmed: the schedule is valid and no II below {certificate.lower_bound} is possible"
    elif certificate.status == "optimal":
        yield f"confirmed: II {certificate.ii} is possible and no shorter one is"
    elif certificate.status == "infeasible":
        yield "confirmed: there is no schedule at any II"
    else:
        yield f"confirmed: no II below {certificate.lower_bound} is possible; whether any is, is unknown"


def certificate_json(certificate: Certificate) -> dict[str, Any]:
    """The certificate as one JSON object; times in cycles, `seconds` of wall clock."""
    unit, cycle = certificate.bounds.unit, certificate.bounds.cycle
    return {
        "format": FORMAT,
        "loop": certificate.name,
        "machine": certificate.machine,
        "holds": certificate.holds,
        "confirmed": certificate.confirmed,
        "failures": list(certificate.failures),
        "notes": list(certificate.notes),
        "stopped": certificate.stopped,
        "only": certificate.only,
        "claim": {
            "status": certificate.status,
            "ii": certificate.ii,
            "lower_bound": certificate.lower_bound,
            "reason": certificate.reason,
        },
        "rules": {"checker": "accepted" if not certificate.broken else "broken", "broken": list(certificate.broken)},
        "bound": {
            "mii": certificate.bounds.mii,
            "res_mii": None
            if unit is None
            else {
                "ii": unit.ii,
                "unit": unit.unit,
                "capacity": unit.capacity,
                "cycles": unit.cycles,
                "ops": dict(unit.ops),
            },
            "rec_mii": None
            if cycle is None
            else {
                "ii": cycle.ii,
                "cycles": cycle.cycles,
                "distance": cycle.distance,
                "edges": [edge.__dict__ for edge in cycle.edges],
            },
        },
        "refuted": [
            {
                "first": each.first,
                "last": None if certificate.endless else each.last,
                "cp_sat": each.cp_sat,
                "z3": each.z3,
            }
            for each in certificate.intervals
        ],
        "tiers": [
            {
                "name": tier.name,
                "value": tier.value,
                "bound": tier.bound,
                "claimed": tier.claimed,
                "scored": tier.scored,
                "z3": tier.z3,
            }
            for tier in certificate.tiers
        ],
        "seconds": certificate.seconds,
        "versions": dict(certificate.versions),
    }
