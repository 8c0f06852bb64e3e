"""How an impact reads: as JSON (``reconciler.impact/1``) for a machine, and the words that text and Markdown share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.access.model import Breach
from reconciler.audit.clauses import Clause
from reconciler.audit.impact import Impact, Shift, Tally
from reconciler.audit.revisions import Revision
from reconciler.errors import Problem
from reconciler.plan.artefact import instant

FORMAT = "reconciler.impact/1"


def impact_json(impact: Impact, base: Revision, head: Revision, warnings: Sequence[Problem]) -> dict[str, object]:
    """The impact as data; permissions and entitlements are all there, also those that nothing happens to."""
    return {
        "format": FORMAT,
        "base": _revision(base, impact.base.digest),
        "head": _revision(head, impact.head.digest),
        "at": instant(impact.at),
        "people": impact.people,
        "verdict": verdict(impact),
        "same_meaning": impact.same_meaning,
        "changes_access": impact.changes_access,
        "changed_parts": list(impact.parts),
        "summary": summary(impact),
        "shifts": [_shift(shift) for shift in impact.shifts],
        "permissions": [_tally("permission", one) for one in impact.permissions],
        "entitlements": [_tally("entitlement", one) for one in impact.entitlements],
        "service_accounts": list(impact.services),
        "broken_invariants": [_breach(one) for one in impact.broken],
        "mended_invariants": [_breach(one) for one in impact.mended],
        "new_conflicts": {name: list(people) for name, people in impact.conflicts.items()},
        "new_warnings": [
            {"code": one.code, "place": str(one.place), "message": one.message, "remedy": one.remedy}
            for one in warnings
        ],
    }


def summary(impact: Impact) -> Mapping[str, int]:
    """Distinct people who gain or lose anything, and how many permissions of people change hands."""
    gaining = {person for shift in impact.shifts if shift.gains for person in shift.people}
    losing = {person for shift in impact.shifts if not shift.gains for person in shift.people}
    return {
        "people_gaining": len(gaining),
        "people_losing": len(losing),
        "gains": sum(len(shift.people) for shift in impact.shifts if shift.gains),
        "losses": sum(len(shift.people) for shift in impact.shifts if not shift.gains),
        "broken_invariants": len(impact.broken),
        "new_conflicts": sum(map(len, impact.conflicts.values())),
    }


def verdict(impact: Impact) -> str:
    """The impact in one or two sentences, as sure as they can be and no surer."""
    if impact.changes_access:
        counted = summary(impact)
        if not counted["gains"] and not counted["losses"]:
            return "No person gains or loses a permission, but entitlements or service accounts change."
        return (
            f"{_people(counted['people_gaining'], 'gain')} access ({counted['gains']} permissions), "
            f"{_people(counted['people_losing'], 'lose')} access ({counted['losses']} permissions)."
        )
    if impact.same_meaning:
        text = "No effective change: both revisions decide alike for anybody, whatever their facts, today and later."
        return text if not impact.parts else f"{text} What differs: {', '.join(impact.parts)}."
    return (
        "Nobody gains or loses access at this moment. The revisions do not mean the same, though "
        f"({', '.join(impact.parts)}): facts or days to come can make a difference."
    )


def clause_text(clause: Clause) -> str:
    """A clause with where it stands."""
    if clause.place is None:
        return clause.text
    return f"{clause.text} ({clause.place}{', before the change' if clause.gone else ''})"


def _people(count: int, verb: str) -> str:
    return f"1 person {verb}s" if count == 1 else f"{count} people {verb}"


def _revision(revision: Revision, digest: str) -> dict[str, str]:
    return {"asked": revision.asked, "commit": revision.commit, "policy_digest": digest}


def _shift(shift: Shift) -> dict[str, object]:
    return {
        "permission": str(shift.permission),
        "classification": shift.classification,
        "direction": "gain" if shift.gains else "loss",
        "people": list(shift.people),
        "because": [
            {"text": clause.text, "place": str(clause.place) if clause.place else None, "gone": clause.gone}
            for clause in shift.clauses
        ],
    }


def _tally(what: str, tally: Tally) -> dict[str, object]:
    return {
        what: tally.name,
        "classification": tally.classification,
        "before": tally.before,
        "after": tally.after,
        "gained": tally.gained,
        "lost": tally.lost,
    }


def _breach(breach: Breach) -> dict[str, object]:
    return {"permission": str(breach.permission), "place": str(breach.invariant.place), "text": breach.text}
