"""A policy tree with all that the language has so far, for tests to take apart."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import Problem
from reconciler.policy import check_policy

WORDS = """\
attributes:
  department: {kind: tree}
  location:   {kind: tree}
  post:       {kind: one_of, values: [engineer, architect, it, 法务]}
  grade:      {kind: ordered, values: [P3, P4, P5, [P6, M1], [P7, M2], P8]}
  projects:   {kind: set}
  employment: {kind: one_of, values: [employee, intern, contractor]}
  sponsor:    {kind: person}
evidence:
  nda:                {kind: agreement, version: 3, superseded_on: 2026-03-01}
  non-compete:        {kind: agreement, version: 2, applies_to: {grade: {min: P6}}}
  background-check:   {kind: check, valid_for: 5y}
  police-certificate: {kind: check, valid_for: 1y, survives_rehire: true}
  secrecy-training:   {kind: training, valid_for: 1y, grace: 14d}
clearances:
  - public:       {}
  - internal:     {requires: [nda]}
  - confidential: {requires: [secrecy-training]}
  - core:
      requires: [{any_of: [background-check, police-certificate]}, non-compete]
      only: {employment: employee}
"""

RESOURCES = """\
resources:
  handbook:
    classification: public
    access:
      read: {corp-ldap: {group: handbook}}
  basic-docs:
    classification: internal
    owner: {department: rd/platform}
    access:
      read:  {corp-ldap: {group: docs-readers}, files: {path: basic, permission: r-x}}
      write: {corp-ldap: {group: docs-writers}}
  核心算法:
    classification: core
    owner: {person: "E0001"}
    access:
      read: {corp-ldap: {group: 核心算法-读}}
"""

ROLES = """\
roles:
  engineer:
    match: {department: rd, post: engineer}
    grants: {read: [basic-docs]}
  senior-engineer:
    inherits: [engineer]
    match: {department: rd, post: [engineer, architect], grade: {min: P6}}
    grants: {read: [核心算法]}
  owner:
    members: [{person: "E1007", since: 2026-01-01, until: 2027-06-30, reason: Owner of the codec}]
    inherits: [senior-engineer]
    grants: {write: [basic-docs]}
  staff:
    everyone: true
    grants: {read: [handbook]}
exceptions:
  - person: "E1042"
    grants: {read: [核心算法]}
    since: 2026-12-01
    until: 2026-12-31
    reason: Audit support
    ticket: SEC-113
    approved_by: ["E0007"]
lockouts:
  - {person: "E3321", ref: SEC-140, since: 2026-11-02}
  - {person: "E3322", ref: SEC-141, from: [handbook]}
"""

CONDUCT = """\
lifecycle:
  preboarding: {ceiling: public, opens: 7d}
  notice:      {ceiling: internal}
  exited:      {disable: immediately, delete_after: 90d}
guards:
  rules:     {revoke: {percent: 5, people: 12}}
  exits:     {people: 20}
  feed:      {shrink_percent: 2.5}
  approvals: {core: 2}
  protected: [svc-backup, "E0001"]
service_accounts:
  svc-backup: {owner: {post: it}, ceiling: internal, until: 2027-06-30, grants: {read: [basic-docs]}}
"""

BOUNDS = """\
separation:
  - {name: 分离, roles: [engineer, staff], on_conflict: report}
  - {name: wall, between: [["basic-docs:write"], ["handbook:*"]]}
sponsors: [{of: {employment: contractor}, by: sponsor, must: {employment: employee}, lapse: 14d}]
exception_limits: {internal: {max: 90d, approvers: 1}, core: {max: 31d}}
invariants:
  - {never: {match: {employment: contractor}, permission: "核心算法:*"}}
  - {at_least: 1, permission: "basic-docs:read"}
  - {at_most: 25, permission: "核心算法:read"}
retired:
  - {target: corp-ldap, entitlement: {group: old-readers}, members: revoke, reason: Replaced by docs-readers}
tests:
  - name: an engineer reads what is internal
    on: 2026-11-24
    person: "E1001"
    assignments: [{department: rd/ai, post: engineer, grade: P5, projects: [falcon], since: 2025-01-01}]
    evidence: [nda, {evidence: secrecy-training, valid_from: 2026-06-01}]
    others: [{person: "E0007", assignments: [{employment: employee}]}]
    expect: {can: ["basic-docs:read"], cannot: ["basic-docs:write"], withheld: {"核心算法:read": [only]}}
"""

COMPANY: Mapping[str, bytes] = {
    "policies/words.yaml": WORDS.encode(),
    "policies/resources.yaml": RESOURCES.encode(),
    "policies/roles.yaml": ROLES.encode(),
    "policies/conduct.yaml": CONDUCT.encode(),
    "policies/bounds.yaml": BOUNDS.encode(),
}


def problems(text: str, **others: str) -> list[Problem]:
    """What is wrong with the company's words and resources and this text, as the file ``a.yaml``."""
    files = {"words.yaml": WORDS, "resources.yaml": RESOURCES, "a.yaml": text}
    files.update({f"{name}.yaml": content for name, content in others.items()})
    return list(check_policy({name: content.encode() for name, content in files.items()})[1])


def errors(text: str, **others: str) -> list[Problem]:
    """The errors among `problems`."""
    return [problem for problem in problems(text, **others) if problem.severity == "error"]
