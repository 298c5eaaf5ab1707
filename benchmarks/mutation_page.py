"""The tables of docs/mutations.md, made from the result file.

    python -m benchmarks.mutation_page

puts them between the page's markers; a test keeps page and results in step.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import record
from benchmarks.mutants import KINDS
from benchmarks.mutation_trial import CAUGHT_BY
from twill.schedule.document import write_text

PAGE = record.ROOT / "docs" / "mutations.md"
RESULT = record.RESULTS / "mutation.json"
BEGIN, END = "<!-- from benchmarks/results/mutation.json -->", "<!-- end -->"

Rows = Sequence[Mapping[str, Any]]


def fate(row: Mapping[str, Any]) -> str:
    """What became of a mutant: the kind of report that caught it, "equivalent" or "survived"."""
    return row["caught_by"] or ("equivalent" if row["equivalent"] else "survived")


def counted(rows: Rows, key: str = "kind") -> dict[str, Counter[str]]:
    """How many of each fate by the value of a column, kinds in the order of KINDS."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row[key], Counter())[fate(row)] += 1
    names = [name for name in KINDS if name in counts] if key == "kind" else sorted(counts)
    return {name: counts[name] for name in names}


def cells(fates: Counter[str]) -> tuple[str, str, str, str, str]:
    """Mutants, caught, equivalent, survived, and by what they were caught."""
    caught = Counter({name: count for name, count in fates.items() if name not in ("equivalent", "survived")})
    by = ", ".join(f"{CAUGHT_BY.get(name, name)} {count}" for name, count in caught.most_common())
    return str(fates.total()), str(caught.total()), str(fates["equivalent"]), str(fates["survived"]), by


def markdown(document: Mapping[str, Any]) -> str:
    """What stands between the page's markers: counts by kind and by module, and every survivor with its reason."""
    rows, facts = document["results"]["mutants"], document["provenance"]
    left = [row for row in rows if row["caught_by"] is None]
    equivalent = sum(row["equivalent"] is not None for row in left)
    judged = len(facts["modules"]) + len(facts["twins"])
    text = [
        f"Run of {facts['date'][:10]} over {len(facts['modules'])} modules, which have {len(facts['twins'])} twins: "
        f"{judged} of the {judged + len(facts['missing'])} shipped. {len(rows)} mutants, "
        f"{len(rows) - len(left)} caught, {equivalent} equivalent, {len(left) - equivalent} holes.",
        *([f"Ended early: {facts['of'] - len(rows)} more were not judged."] if facts["interrupted"] else []),
        f"Of the survivors, {sum(not row['unordered'] for row in left)} do so under every interleaving at every "
        "trip count tried.",
        *([f"Not gone over yet: {', '.join(map(_code, facts['missing']))}."] if facts["missing"] else []),
        "",
        *_table(("kind", counted(rows))),
        "",
        *_table(("module", counted(rows, "module"))),
        "",
        "### Survivors",
        "",
    ]
    for reason, several in _by_reason(left).items():
        text += [f"**{reason}** ({len(several)})", ""]
        for module, ones in _grouped(several, "module").items():
            places = "; ".join(
                f"{line}: {', '.join(dict.fromkeys(row['kind'] for row in same))}"
                for line, same in _grouped(ones, "line").items()
            )
            text.append(f"- `{module}` {places}")
        text.append("")
    return "\n".join(text).rstrip() + "\n"


def _code(name: str) -> str:
    return f"`{name}`"


def _table(column: tuple[str, Mapping[str, Counter[str]]]) -> list[str]:
    name, counts = column
    total: Counter[str] = sum(counts.values(), Counter())
    lines = [f"| {name} | mutants | caught | equivalent | survived | caught by |", "|---|--:|--:|--:|--:|---|"]
    for value, fates in [*counts.items(), ("all", total)]:
        lines.append(f"| {' | '.join((f'`{value}`' if value != 'all' else value, *cells(fates)))} |")
    return lines


def _by_reason(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """Survivors by reason, holes first, then the reasons that explain most."""
    groups = _grouped([{**row, "reason": row["equivalent"] or "Not explained: a hole."} for row in rows], "reason")
    return dict(sorted(groups.items(), key=lambda item: (item[1][0]["equivalent"] is not None, -len(item[1]))))


def _grouped(rows: Rows, key: str) -> dict[Any, list[Mapping[str, Any]]]:
    groups: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["module"], row["line"])):
        groups[row[key]].append(row)
    return groups


def renewed(page: str, document: Mapping[str, Any]) -> str:
    """The page with its tables made anew. Raises ValueError when a marker is missing."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{markdown(document)}\n{END}{tail}"


def main() -> None:
    """Write the tables into the page."""
    write_text(PAGE, renewed(PAGE.read_text(), json.loads(RESULT.read_text())))
    print(f"wrote {PAGE.relative_to(record.ROOT)}")


if __name__ == "__main__":
    main()
