"""Checking the claims of a schedule: the rules, the bound, the refutations by two solvers, and the tiers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata

from twill import __version__
from twill.certify.bounds import bounds
from twill.certify.certificate import Certificate, Interval, Proof, TierCheck, merged
from twill.certify.claim import false_reason
from twill.certify.question import Answer, Question
from twill.certify.tiers import MORE_IS_BETTER, condition, score, with_spare_slots
from twill.schedule.checker import check
from twill.schedule.schedule import Schedule, Tier
from twill.solve import solve

TIME_LIMIT = 60.0  # seconds, of each of the two solvers


def certify(
    schedule: Schedule,
    *,
    time_limit: float = TIME_LIMIT,
    ii: int | None = None,
    progress: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Certificate:
    """What can be confirmed of `schedule`: it keeps the rules, its bound holds, and its tiers are as good as said.

    time_limit: seconds for each of CP-SAT and Z3. ii: refute this interval only, not all that the
    claim excludes, and leave the tiers out. stop: asked many times a second; when it says so, or at
    Ctrl-C, what is confirmed so far is the certificate. progress: told a line about each step.
    """
    return _Examination(schedule, time_limit, ii, progress or (lambda message: None), stop).run()


@dataclass
class _Examination:
    """One run of `certify`."""

    schedule: Schedule
    time_limit: float
    ii: int | None
    tell: Callable[[str], None]
    stop: Callable[[], bool] | None
    began: float = field(default_factory=time.monotonic)
    z3_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def run(self) -> Certificate:
        schedule, problem = self.schedule, self.schedule.problem
        self.tell("checking the rules")
        broken = tuple(str(violation) for violation in check(schedule))
        self.failures += [f"the schedule breaks a rule: {each}" for each in broken]
        certificate = Certificate(
            name=problem.name,
            machine=problem.limits.name,
            status=schedule.status,
            ii=schedule.ii,
            lower_bound=schedule.lower_bound,
            reason=schedule.reason,
            ops=len(problem.ops),
            deps=len(problem.deps),
            broken=broken,
            bounds=bounds(problem),
            only=self.ii,
            endless=schedule.status == "infeasible" and self.ii is None,
            versions={"twill": __version__, **{name: _version(name) for name in ("ortools", "z3-solver")}},
        )
        wrong = false_reason(schedule, certificate.bounds)
        self.failures += [wrong] if wrong else []
        intervals: tuple[Interval, ...] = ()
        tiers = tuple(_as_claimed(schedule, tier) for tier in schedule.tiers)
        try:
            intervals = self._intervals(certificate)
            if not broken and self.ii is None:
                tiers = self._tiers(tiers)
        except KeyboardInterrupt:
            self.stopped = True
        return replace(
            certificate,
            intervals=intervals,
            tiers=tiers,
            failures=tuple(self.failures),
            notes=tuple(self.notes),
            stopped=self.stopped or (self.stop is not None and self.stop()),
            seconds=round(time.monotonic() - self.began, 3),
        )

    # The interval.

    def _intervals(self, certificate: Certificate) -> tuple[Interval, ...]:
        """Each solver's word on the intervals between MII and the claimed lower bound."""
        mii, claim = certificate.bounds.mii, self.schedule.lower_bound
        if certificate.endless:
            return self._all_from(mii)
        open_ = range(mii, claim) if self.ii is None else range(self.ii, self.ii + 1)
        if not open_:
            return ()
        cp_sat: dict[int, Proof] = {}
        z3: dict[int, Proof] = {}
        try:
            self._by_z3(open_, z3)
            self._by_cp_sat(open_, cp_sat)
        except KeyboardInterrupt:
            self.stopped = True
        return merged(cp_sat, z3, open_)

    def _by_z3(self, open_: range, verdicts: dict[int, Proof]) -> None:
        """The last interval alone, then all others at once, then those left one by one downwards."""
        last = open_[-1]
        self._ask(last, last, verdicts)
        if len(open_) > 1 and verdicts[last] == "refuted":
            self._ask(open_[0], last - 1, verdicts, share=0.5)
        for ii in reversed(open_):
            if self._z3_left() <= 0 or self.failures or self._stopping():
                return
            if verdicts.get(ii) != "refuted" and ii != last:
                self._ask(ii, ii, verdicts)

    def _ask(self, low: int, high: int, verdicts: dict[int, Proof], share: float = 1.0) -> None:
        self.tell(f"Z3: refuting II {low}" + (f" to {high}" if high > low else ""))
        answer = self._timed(lambda limit: Question(self.schedule.problem, low, high).ask(limit, stop=self.stop), share)
        if answer.schedule is not None:
            verdicts[answer.schedule.ii] = "schedule found"
            self._found(answer.schedule, "Z3")
        elif answer.verdict == "refuted" or low == high:
            verdicts.update(dict.fromkeys(range(low, high + 1), answer.verdict))

    def _by_cp_sat(self, open_: range, verdicts: dict[int, Proof]) -> None:
        """The whole search again without tiers: what it proves is that every interval below its bound is excluded."""
        found = solve(
            self.schedule.problem,
            time_limit=self.time_limit,
            tiers=(),
            progress=lambda record: self.tell(f"CP-SAT: {record}"),
            stop=self.stop,
        )
        for ii in open_:
            excluded = found.status == "infeasible" or ii < found.lower_bound
            verdicts[ii] = "refuted" if excluded else "unknown"
        if found.placements and found.ii in open_ and not check(found):
            verdicts[found.ii] = "schedule found"
            self._found(found, "CP-SAT")

    def _found(self, found: Schedule, solver: str) -> None:
        """A schedule where there should be none; the checker has accepted it."""
        claim = self.schedule.lower_bound
        if self.schedule.status == "infeasible":
            self.failures.append(f"the problem is claimed infeasible, but {solver} finds a schedule with II {found.ii}")
        elif found.ii < claim:
            message = f"no II below {claim} is claimed to be possible, but {solver} finds a schedule with II {found.ii}"
            self.failures.append(f"{message}, which keeps every rule")
        else:
            self.notes.append(f"{solver} finds a schedule with II {found.ii}; the claim does not exclude it")

    def _all_from(self, mii: int) -> tuple[Interval, ...]:
        """The claim that no interval at all has a schedule: for Z3 one question without a longest interval."""
        cp_sat: Proof = "not tried"
        z3: Proof = "not tried"
        try:
            self.tell(f"Z3: refuting every II from {mii} on")
            problem = self.schedule.problem
            answer = self._timed(lambda limit: Question(problem, mii, None).ask(limit, stop=self.stop))
            z3 = answer.verdict
            if answer.schedule is not None:
                self._found(answer.schedule, "Z3")
            again = solve(problem, time_limit=self.time_limit, tiers=(), stop=self.stop)
            cp_sat = "refuted" if again.status == "infeasible" else "unknown"
            if again.placements and not check(again):
                cp_sat = "schedule found"
                self._found(again, "CP-SAT")
        except KeyboardInterrupt:
            self.stopped = True
        return (Interval(mii, mii, cp_sat, z3),)

    # The tiers.

    def _tiers(self, claims: Sequence[TierCheck]) -> tuple[TierCheck, ...]:
        """Each tier's value scored again, and a better one refuted by Z3 with all tiers before it as good."""
        checked: list[TierCheck] = []
        question: Question | None = None
        for tier in claims:
            if tier.scored is not None and tier.scored != tier.value:
                says = f"the tier {tier.name} is {tier.value} in the file"
                self.failures.append(f"{says}, but its placements score {tier.scored}")
            if tier.claimed and tier.bound != tier.value:
                self.failures.append(
                    f"the tier {tier.name} is claimed to be proved at {tier.value} with bound {tier.bound}"
                )
            if tier.name == "ii" and tier.bound != self.schedule.lower_bound:
                says = f"the tier ii has the bound {tier.bound}"
                self.failures.append(f"{says}, but the lower bound is {self.schedule.lower_bound}")
            settled = tier.name == "ii" or tier.scored is None or self.failures or self.stopped
            if not settled and self._z3_left() > 0 and not self._stopping():
                self.tell(f"Z3: refuting a better {tier.name}")
                try:
                    ii = self.schedule.ii
                    question = question or Question(self.schedule.problem, ii, ii)
                    tier = replace(tier, z3=self._better(question, tier))
                    question.add(condition(tier.name, tier.value, ii))
                except KeyboardInterrupt:
                    self.stopped = True
            checked.append(tier)
        return tuple(checked)

    def _better(self, question: Question, tier: TierCheck) -> Proof:
        """Whether Z3 refutes a value better than the tier's bound; a schedule it finds shows the claim false."""
        sign = 1 if tier.name in MORE_IS_BETTER else -1
        better = condition(tier.name, tier.bound + sign, self.schedule.ii)
        answer = self._timed(lambda limit: question.ask(limit, condition=better, stop=self.stop))
        if answer.schedule is None:
            return answer.verdict
        scored = score(with_spare_slots(answer.schedule), tier.name)
        if scored is None or sign * scored <= sign * tier.bound:
            return "unknown"
        message = (
            f"the tier {tier.name} is claimed to be {tier.bound} at best, but Z3 finds a schedule with {scored} there"
        )
        self.failures.append(f"{message} and as good in all before")
        return "schedule found"

    # Time.

    def _timed(self, ask: Callable[[float], Answer], share: float = 1.0) -> Answer:
        """The answer of Z3 in a share of the time left to it; the time is taken off."""
        began = time.monotonic()
        answer = ask(share * self._z3_left())
        self.z3_seconds += time.monotonic() - began
        return answer

    def _z3_left(self) -> float:
        return self.time_limit - self.z3_seconds

    def _stopping(self) -> bool:
        return self.stop is not None and self.stop()


def _as_claimed(schedule: Schedule, tier: Tier) -> TierCheck:
    scored = score(schedule, tier.name) if schedule.placements else None
    return TierCheck(tier.name, tier.value, tier.bound, tier.proved, scored, "not tried")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
