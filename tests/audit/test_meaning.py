"""Two policies mean the same, or they do not: rewriting keeps the meaning, and no change that decides goes unseen."""

from __future__ import annotations

import pytest

from reconciler.audit.meaning import DECIDING, differences
from reconciler.policy import load_policy
from reconciler.policy.model import Policy

WORDS = """
attributes:
  department: {kind: tree}
  post: {kind: one_of, values: [engineer, architect]}
  grade: {kind: ordered, values: [P3, P4, P5, P6]}
  employment: {kind: one_of, values: [employee, contractor]}
evidence:
  nda: {kind: agreement, version: 2, superseded_on: 2026-03-01}
  training: {kind: training, valid_for: 1y}
clearances:
  - public: {}
  - internal: {requires: [nda]}
  - core: {requires: [training], only: {employment: employee}}
resources:
  handbook: {classification: public, access: {read: {ldap: {group: handbook}}}}
  docs: {classification: internal, owner: {department: rd}, access: {read: {ldap: {group: docs}}}}
  codec: {classification: core, access: {read: {ldap: {group: codec}}, write: {ldap: {group: codec-w}}}}
lifecycle:
  notice: {ceiling: public}
"""
ROLES = """
roles:
  staff: {everyone: true, grants: {read: [handbook]}}
  engineer: {match: {department: rd, post: engineer}, grants: {read: [docs]}}
  senior:
    match: {department: rd, grade: {min: P5}}
    members: [{person: E7, until: 2027-01-31, reason: owner}]
    grants: {read: [docs, codec], write: [codec]}
exceptions:
  - {person: E9, grants: {read: [codec]}, since: 2026-11-01, until: 2026-11-10, reason: audit, ticket: T-1}
"""


def policy(*files: str) -> Policy:
    return load_policy({f"p/{n}.yaml": text.encode() for n, text in enumerate(files)}, revision="r")


BASE = policy(WORDS, ROLES)

SAME = {
    "files cut otherwise, clauses in another order": (
        """
exceptions:
  - {person: E9, until: 2026-11-10, since: 2026-11-01, grants: {read: [codec]}, reason: another text, ticket: T-2}
roles:
  senior:
    grants: {write: [codec], read: [codec, docs]}
    members: [{person: E7, until: 2027-01-31, reason: still the owner}]
    match: {grade: {min: P5}, department: rd}
  staff: {everyone: true, grants: {read: [handbook]}}
""",
        "roles: {engineer: {match: {post: engineer, department: rd}, grants: {read: [docs]}}}",
    ),
    "what two roles share is pulled out and inherited": (
        ROLES.replace("grants: {read: [docs, codec], write: [codec]}", "inherits: [reader, deep]")
        .replace("grants: {read: [docs]}", "inherits: [reader]")
        .replace(
            "exceptions:",
            "  reader: {grants: {read: [docs]}}\n  deep: {grants: {read: [codec], write: [codec]}}\nexceptions:",
        ),
    ),
    "roles renamed": (ROLES.replace("senior:", "expert:").replace("engineer:", "developer:"),),
    "a match nested deeper": (
        ROLES.replace("{department: rd, post: engineer}", "{all: [{department: rd}, {all: [{post: engineer}]}]}"),
    ),
    "a role cut into two of the same holders": (
        ROLES.replace(
            "exceptions:",
            "  senior-writer: {match: {department: rd, grade: {min: P5}}, grants: {write: [codec]}}\nexceptions:",
        ),
    ),
}

OTHER = {
    "grants": [
        (ROLES, "min: P5", "min: P4"),
        (ROLES, "post: engineer}", "post: [engineer, architect]}"),
        (ROLES, "min: P5", "min: P5, absent: true"),
        (ROLES, "person: E7", "person: E8"),
        (ROLES, "until: 2027-01-31", "until: 2027-02-28"),
        (ROLES, "until: 2026-11-10", "until: 2026-11-11"),
        (ROLES, "grants: {read: [docs]}", "grants: {read: [docs, handbook]}"),
        (ROLES, "read: [docs, codec]", "read: [codec]"),
    ],
    "clearances": [(WORDS, "requires: [training], ", ""), (WORDS, "only: {employment: employee}", "")],
    "evidence": [
        (WORDS, "valid_for: 1y", "valid_for: 2y"),
        (WORDS, "superseded_on: 2026-03-01", "superseded_on: 2027-03-01"),
    ],
    "classifications": [(WORDS, "docs: {classification: internal", "docs: {classification: public")],
    "entitlements": [(WORDS, "group: docs}", "group: documents}")],
    "lifecycle": [(WORDS, "ceiling: public", "ceiling: internal")],
    "attributes": [(WORDS, "[P3, P4, P5, P6]", "[P3, P5, P4, P6]")],
}


@pytest.mark.parametrize("files", SAME.values(), ids=SAME.keys())
def test_rewriting_keeps_the_meaning(files: tuple[str, ...]) -> None:
    other = policy(WORDS, *files)
    assert not DECIDING.intersection(differences(BASE, other))
    assert not DECIDING.intersection(differences(other, BASE))


@pytest.mark.parametrize(
    ("part", "text", "old", "new"),
    [(part, *change) for part, changes in OTHER.items() for change in changes],
)
def test_what_decides_something_else_is_seen_in_its_part(part: str, text: str, old: str, new: str) -> None:
    assert old in text
    words, roles = (WORDS.replace(old, new), ROLES) if text is WORDS else (WORDS, ROLES.replace(old, new))
    assert part in differences(BASE, policy(words, roles))
