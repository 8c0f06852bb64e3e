"""Explanations as data: what `why`, `access` and `who` tell a machine, on the command line and over HTTP."""

from __future__ import annotations

from reconciler.access.model import Denial, End, Explanation, NeededFact, Proven, Reason, Way
from reconciler.errors import Place
from reconciler.facts.model import Recorded
from reconciler.plan.artefact import instant

__all__ = ["cited", "denial_json", "explanation_json", "needed_json", "recorded_json"]


def cited(explanation: Explanation) -> set[int]:
    """The ledger entries to which an explanation leads back."""
    entries = {reason.entry for reason in explanation.reasons} | {denial.entry for denial in explanation.denials}
    entries |= {proven.entry for proven in explanation.proven} | {ending.entry for ending in explanation.ends}
    return entries - {0}


def recorded_json(one: Recorded) -> dict[str, object]:
    """Who put on record what, and when, as data."""
    return {
        "ledger_seq": one.entry,
        "kind": one.kind,
        "subject": one.subject,
        "recorded_at": instant(one.recorded_at),
        "actor": one.actor,
    }


def explanation_json(explanation: Explanation) -> dict[str, object]:
    """The whole explanation as data."""
    return {
        "subject": explanation.subject,
        "permission": str(explanation.permission),
        "at": instant(explanation.at),
        "allowed": explanation.allowed,
        "until": instant(explanation.until),
        "classification": explanation.classification,
        "clearance": explanation.clearance,
        "states": [state.value for state in explanation.states],
        "reasons": [_reason_json(reason) for reason in explanation.reasons],
        "denials": [denial_json(denial) for denial in explanation.denials],
        "evidence": [_proven_json(proven) for proven in explanation.proven],
        "ends": [_end_json(end) for end in explanation.ends],
        "ways": [_way_json(way) for way in explanation.ways],
        "needed": [needed_json(fact) for fact in explanation.needed],
    }


def needed_json(fact: NeededFact) -> dict[str, object]:
    """A fact that is needed, as data; of its proofs any one will do."""
    return {
        "kind": fact.kind.value,
        "text": fact.text,
        "any_of": [{"evidence": proof.kind, "scope": proof.scope or None} for proof in fact.proofs],
        "attribute": fact.attribute or None,
        "wanted": fact.wanted or None,
        "place": _place(fact.place),
    }


def _reason_json(reason: Reason) -> dict[str, object]:
    return {
        "kind": reason.kind.value,
        "roles": list(reason.roles),
        "place": str(reason.place),
        "holds_place": str(reason.holds_place),
        "assignment": reason.assignment or None,
        "ledger_seq": reason.entry or None,
        "until": instant(reason.until),
        "text": reason.text,
    }


def denial_json(denial: Denial) -> dict[str, object]:
    """What withholds, as data."""
    return {
        "kind": denial.kind.value,
        "what": denial.what,
        "level": denial.level or None,
        "compartment": denial.compartment or None,
        "state": denial.state.value if denial.state else None,
        "any_of": [{"evidence": proof.kind, "scope": proof.scope or None} for proof in denial.proofs],
        "place": _place(denial.place),
        "ledger_seq": denial.entry or None,
        "since": instant(denial.since),
        "text": denial.text,
        "remedy": denial.remedy,
    }


def _proven_json(proven: Proven) -> dict[str, object]:
    return {
        "evidence": proven.proof.kind,
        "scope": proven.proof.scope or None,
        "level": proven.level or None,
        "compartment": proven.compartment or None,
        "ledger_seq": proven.entry or None,
        "valid_from": instant(proven.valid_from),
        "until": instant(proven.until),
        "exempt": proven.exempt or None,
        "place": str(proven.place),
    }


def _end_json(end: End) -> dict[str, object]:
    return {
        "at": instant(end.at),
        "kind": end.kind.value,
        "what": end.what,
        "text": end.text,
        "ledger_seq": end.entry or None,
        "place": _place(end.place),
        "decides": end.decides,
    }


def _way_json(way: Way) -> dict[str, object]:
    return {
        "roles": list(way.roles),
        "place": str(way.place),
        "holds_place": str(way.holds_place),
        "lacking": [needed_json(fact) for fact in way.lacking],
    }


def _place(place: Place | None) -> str | None:
    return str(place) if place is not None else None
