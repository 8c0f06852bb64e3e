"""A tree with a mistake in nearly every line: one run of `check` tells them all, each once, at its line and column.

The mistakes are those that people make: a slip of the pen, a day that no calendar has, a number without quotes, a name
that was changed elsewhere, two lines that contradict each other, a rule that shuts out whoever it is about.
"""

from __future__ import annotations

from reconciler.policy import check_policy

TREE = {
    "words.yaml": """\
attributes:
  department: {kind: tree}
  post: {kind: one_of, values: [engineer, architect, signer]}
  grade: {kind: ordered, values: [P4, P5, P4]}
  projects: {kind: set}
  sponsor: {kind: persn}
  since: {kind: set}
evidence:
  nda: {kind: agreement, version: 0}
  briefing: {kind: training, valid_for: 2w}
clearances:
  - public: {}
  - internal: {requires: [nda, oath]}
  - secret: {only: {post: pilot}}
""",
    "resources.yaml": """\
resources:
  handbook: {classification: public, access: {read: {ldap: {group: handbook}}}}
  plans: {classification: intern, access: {read: {ldap: {group: plans}}}}
  core: {classification: secret, acess: {read: {ldap: {group: core}}}}
  notes: {classification: internal, access: {read: {ldap: {group: notes}}, write: {ldap: {group: authors}}}}
  notes: {classification: public, access: {read: {ldap: {group: notes}}}}
retired:
  - {target: ldap, entitlement: {group: notes}, members: revoke, reason: Replaced}
""",
    "roles.yaml": """\
roles:
  engineer: {match: {department: rd, pst: engineer}, grants: {read: [handbok]}}
  author: {match: {post: engineer}, grants: {write: [handbook, notes]}}
  reader: {inherits: [autor], match: {}}
  editor: {inherits: [author], everyone: true}
  lead: {members: [{person: 1007, until: 2026-02-30}]}
""",
    "people.yaml": """\
exceptions:
  - {person: "E1", grants: {read: [notes]}, since: 2026-01-01, until: 2026-06-30, reason: Audit}
  - {person: "E2", grants: {read: [notes]}, until: 2025-02-29, reason: Audit}
  - {person: "E4", grants: {read: [handbook]}, until: 2026-02-28, reason: Audit, approved_by: ["E4"]}
exception_limits: {internal: {max: 30d}, scret: {approvers: 2}}
lockouts:
  - {person: "E3", ref: SEC-1, reason: Theft}
service_accounts:
  svc: {owner: {pst: it}, ceiling: internal, until: 2027-01-01, grants: {read: [notes]}}
""",
    "conduct.yaml": """\
lifecycle:
  leave: {after: 30d}
  notice: [{match: {departmnt: rd}, ceiling: public}]
  transfer: {overlap: 7}
guards:
  exits: {percent: 500}
""",
    "bounds.yaml": """\
separation:
  - {name: pens, roles: [author, editor]}
  - {name: wall, between: [["notes:*"], ["handbok:read"]]}
  - {name: pens, roles: [author, engineer]}
sponsors:
  - {of: {post: signer}, by: post}
invariants:
  - {at_least: 3, permission: "notes:read"}
  - {at_most: 2, permission: "notes:*"}
  - {never: {match: {post: signer}, permission: "notes:delete"}}
tests:
  - name: a reader
    on: 2026-11-31
    expect: {can: ["notes:read"], cannot: ["notes:read"]}
  - name: a reader
    on: 2026-11-30
    expect: {can: ["notes:read"]}
  - name: a writer
    on: 2026-11-30
    assignments: [{post: enginer}]
    evidence: [ndaa]
    expect: {withheld: {"notes:wirte": [nda]}}
""",
}

MISTAKES = """\
bounds.yaml:2:18 always-conflicts
bounds.yaml:3:42 empty-pattern
bounds.yaml:4:12 duplicate-name
bounds.yaml:6:30 attribute-kind
bounds.yaml:9:5 contradiction
bounds.yaml:10:49 empty-pattern
bounds.yaml:13:9 date
bounds.yaml:15:11 duplicate-name
bounds.yaml:20:26 unknown-value
bounds.yaml:21:16 unknown-evidence
bounds.yaml:22:25 unknown-action
conduct.yaml:2:10 missing
conduct.yaml:3:21 unknown-attribute
conduct.yaml:4:3 missing
conduct.yaml:4:23 period
conduct.yaml:6:20 range
people.yaml:2:71 exception-limit
people.yaml:3:52 date
people.yaml:4:96 self-approval
people.yaml:5:42 unknown-clearance
people.yaml:7:32 unknown-key
people.yaml:9:17 unknown-attribute
resources.yaml:3:27 unknown-clearance
resources.yaml:4:34 unknown-key
resources.yaml:6:3 duplicate-key
resources.yaml:8:20 retired-in-use
roles.yaml:2:38 unknown-attribute
roles.yaml:2:70 unknown-resource
roles.yaml:3:46 unknown-action
roles.yaml:4:23 unknown-role
roles.yaml:4:38 empty-match
roles.yaml:6:29 unquoted
roles.yaml:6:42 date
words.yaml:4:43 duplicate-value
words.yaml:6:19 value
words.yaml:7:3 reserved-name
words.yaml:9:35 range
words.yaml:10:41 period
words.yaml:13:32 unknown-evidence
words.yaml:14:27 unknown-value
"""


def test_forty_mistakes_in_six_files_are_all_told_in_one_run_each_at_its_place() -> None:
    policy, found = check_policy({name: text.encode() for name, text in TREE.items()})

    assert policy is None
    assert "".join(f"{problem.place} {problem.code}\n" for problem in found) == MISTAKES


def test_every_one_of_them_says_what_is_right() -> None:
    _, found = check_policy({name: text.encode() for name, text in TREE.items()})

    silent = [problem.code for problem in found if not problem.remedy]
    assert set(silent) <= {"range"}, "a range says its bounds in the message"
    assert all(problem.severity == "error" for problem in found)


def test_without_the_mistakes_nothing_is_told() -> None:
    """Each file by itself, where its mistakes are mended, leaves the others' as they are: none follows from another."""
    _, all_found = check_policy({name: text.encode() for name, text in TREE.items()})
    kept = {"bounds.yaml", "conduct.yaml", "people.yaml"}
    mended = {
        **TREE,
        "roles.yaml": """\
roles:
  engineer: {match: {department: rd, post: engineer}, grants: {read: [handbook]}}
  author: {match: {post: engineer}, grants: {write: [notes]}}
  reader: {inherits: [author], match: {post: architect}}
  editor: {inherits: [author], everyone: true}
""",
    }
    _, found = check_policy({name: text.encode() for name, text in mended.items()})

    assert [one for one in found if one.place.file in kept] == [one for one in all_found if one.place.file in kept]
    assert not [one for one in found if one.place.file == "roles.yaml"]
