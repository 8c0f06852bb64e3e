"""What is to be said, decided from what a pass came to. Pure: values in, values out, no clock and no store.

A notice speaks of a state of affairs and has a stable `key`: as long as that stands, it is said once, whoever sees it
and however often. A look tells all that it saw of some kinds; what it did not see of these is over, and would be said
again if it came back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from reconciler.access.forecast import Foreseen
from reconciler.access.model import EndKind
from reconciler.apply.run import RunReport
from reconciler.errors import ProblemsFound
from reconciler.passes import Applied
from reconciler.plan.model import Change, Plan
from reconciler.plan.reading import held_slices
from reconciler.policy.model import Policy

__all__ = [
    "DAYS",
    "Content",
    "Notice",
    "NoticeKind",
    "Told",
    "of_evidence",
    "of_import",
    "of_person",
    "of_policies",
    "of_trouble",
    "of_whole_pass",
]

DAYS = (1, 7, 30)
"""So many days before evidence runs out it is said, each time once."""

FEW = 5
"""So many permissions, files or targets are named; of more, how many there are."""

Content = Mapping[str, str | int | Sequence[str]]
"""What a notice says, in values; the words around them are the templates'."""


class NoticeKind(StrEnum):
    """What there is to be said, the most urgent first."""

    LEAVER = "leaver"
    POLICIES = "policies"
    PASS = "pass"  # noqa: S105  # no password
    IMPORT = "import"
    APPROVAL = "approval"
    HELD = "held"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to be said. `person` is an id; `manager` the id of whoever is to be told of theirs, too."""

    kind: NoticeKind
    key: str
    content: Content
    target: str = ""
    person: str = ""
    manager: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody saw: of these `kinds`, on these `targets` (None: everywhere), about this `person` (blank: anybody),
    no more than `notices`. What stands otherwise under one of the keys in `keep` may go on standing.
    """

    kinds: frozenset[NoticeKind]
    notices: tuple[Notice, ...] = ()
    targets: frozenset[str] | None = None
    person: str = ""
    keep: frozenset[str] = field(default=frozenset(), repr=False)

    def ends(self, kind: str, key: str, target: str, person: str) -> bool:
        """Whether what stands under this key, which is none of `notices`, is over by what was seen here."""
        if kind not in self.kinds or key in self.keep:
            return False
        if self.targets is not None and target and target not in self.targets:
            return False
        return not self.person or person == self.person


# --- passes -----------------------------------------------------------------------------------------------------------


def of_whole_pass(done: Applied, policy: Policy) -> Told:
    """What a pass over everything came to: what is held, who could not be let out, whether it succeeded. What was held
    on a target that could not be read this time goes on standing.
    """
    read = frozenset(name for name, seen in done.plan.targets.items() if not seen.error)
    notices = [*_held(done.plan, policy.guards.approvals), *_left_in(done.report), *_trouble(done)]
    kinds = frozenset({NoticeKind.HELD, NoticeKind.APPROVAL, NoticeKind.LEAVER, NoticeKind.PASS})
    return Told(kinds, tuple(notices), read)


def of_person(done: Applied, person: str) -> Told:
    """What a pass for one person came to: whether something could not be taken from them on some target, or is held
    since they are protected. Of what else is held it knows nothing.
    """
    notices = {each.target: each for each in _left_in(done.report) if each.person == person}
    if not done.still_due:
        unread = (name for name, seen in done.plan.targets.items() if seen.error or seen.unread)
        notices |= {name: _leaver(person, name, [], read=False) for name in unread if name not in notices}
    told = (*notices.values(), *_held(done.plan, {}))  # nobody is given anything in the lane
    return Told(frozenset({NoticeKind.LEAVER}), told, person=person)


def of_trouble(code: str) -> Told:
    """Something kept a pass over everything from being made at all."""
    return Told(frozenset({NoticeKind.PASS}), (Notice(NoticeKind.PASS, "pass", {"code": code}),))


def of_policies(problems: ProblemsFound | None) -> Told:
    """Whether the policies pass."""
    kinds = frozenset({NoticeKind.POLICIES})
    if problems is None:
        return Told(kinds)
    errors = [each for each in problems.problems if each.severity == "error"]
    places = list(dict.fromkeys(str(each.place) for each in errors))
    return Told(kinds, (Notice(NoticeKind.POLICIES, "policies", {"errors": len(errors), "places": places[:FEW]}),))


def of_import(source: str, *, refused: str = "", waiting: int = 0, import_id: str = "") -> Told:
    """What became of an import: refused, with the code of why, or taken, with so many exits that wait for a decision
    under this id.
    """
    told: Notice | None = None
    if refused:
        told = Notice(NoticeKind.IMPORT, f"import:{source}:refused", {"source": source, "code": refused}, source)
    elif waiting:
        content: Content = {"source": source, "waiting": waiting, "import": import_id}
        told = Notice(NoticeKind.IMPORT, f"import:{source}:{import_id}", content, source)
    return Told(frozenset({NoticeKind.IMPORT}), (told,) if told else (), frozenset({source}))


def _held(plan: Plan, approvals: Mapping[int, int]) -> Iterator[Notice]:
    for held, changes in held_slices(plan):
        first = changes[0]
        kind = NoticeKind.APPROVAL if held.guard == "approvals" else NoticeKind.HELD
        content: dict[str, str | int | Sequence[str]] = {
            "slice": held.slice,
            "target": first.target,
            "op": first.op.value,
            "class": first.classification,
            "guard": held.guard,
            "digest": held.digest,
            "changes": len(changes),
            "people": len({change.subject for change in changes}),
            "permissions": _permissions(changes),
        }
        if kind is NoticeKind.APPROVAL:
            content["wanted"] = approvals.get(first.class_rank, 0)
        key = held.digest or f"{held.slice}:{held.guard}:{held.text}"
        yield Notice(kind, f"{kind}:{key}", content, first.target)


def _left_in(report: RunReport | None) -> list[Notice]:
    """The leavers from whom something could not be taken, by target."""
    if report is None:
        return []
    left: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change in (*(each.change for each in report.failed), *report.contradicted):
        if change.leaver and change.person:
            left[change.person, change.target].append(change)
    return [_leaver(person, target, changes) for (person, target), changes in left.items()]


def _leaver(person: str, target: str, changes: Sequence[Change], *, read: bool = True) -> Notice:
    content: Content = {"target": target, "permissions": _permissions(changes), "read": int(read)}
    return Notice(NoticeKind.LEAVER, f"leaver:{person}:{target}", content, target, person)


def _permissions(changes: Iterable[Change]) -> Sequence[str]:
    return sorted({permission for change in changes for permission in change.permissions})[:FEW]


def _trouble(done: Applied) -> Iterator[Notice]:
    if not done.failed:
        return
    report = done.report
    broken = len(report.failed) + len(report.contradicted) if report else 0
    unread = sorted(name for name, seen in done.plan.targets.items() if seen.error or seen.unread)
    if broken or unread:  # what somebody was asked to do, and has not done yet, is nobody's failure
        yield Notice(NoticeKind.PASS, "pass", {"unread": unread[:FEW], "failed": broken})


# --- evidence ---------------------------------------------------------------------------------------------------------


def of_evidence(
    foreseen: Iterable[Foreseen], today: date, zone: ZoneInfo, managers: Mapping[str, str], days: Collection[int] = DAYS
) -> Told:
    """Whose evidence runs out within the next days and costs them access: of each proof the nearest of `days` that has
    come. `managers` is person → the manager who can be told.
    """
    notices: list[Notice] = []
    keep: set[str] = set()
    for each in foreseen:
        if each.gained or each.kind is not EndKind.EVIDENCE:
            continue
        ends = each.at.astimezone(zone).date()
        left = (ends - today).days
        come = [limit for limit in sorted(days) if left <= limit]
        if not come:
            continue
        key = f"evidence:{each.subject}:{each.what}:{each.at.isoformat()}"
        content: Content = {
            "what": each.what,
            "at": each.at.astimezone(zone).isoformat(timespec="minutes"),
            "days": left,
            "permissions": [str(permission) for permission in each.permissions[:FEW]],
            "more": max(0, len(each.permissions) - FEW),
        }
        manager = managers.get(each.subject, "")
        notices.append(Notice(NoticeKind.EVIDENCE, f"{key}:{come[0]}", content, person=each.subject, manager=manager))
        keep |= {f"{key}:{limit}" for limit in days}
    return Told(frozenset({NoticeKind.EVIDENCE}), tuple(notices), keep=frozenset(keep))
