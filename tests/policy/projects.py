"""A part of a policy tree that has to do with variables: scoped evidence, compartments, families, `for_each`."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.policy import load_policy
from reconciler.policy.model import Permission, Policy, Role
from tests.policy.company import COMPANY

PROJECTS = """\
evidence:
  briefing:      {kind: training, per: projects, valid_for: 1y}
  chip-briefing: {kind: training}
compartments:
  chip-design:         {requires: [chip-briefing], only: {location: cn}}
  "project/{project}": {requires: [{any_of: [{briefing: "{project}"}, background-check]}]}
resources:
  project-docs/{project}:
    classification: confidential
    compartments: ["project/{project}"]
    owner: {department: rd}
    values:
      falcon: {}
      phoenix: {classification: core, compartments: [chip-design], until: 2027-03-31, owner: {person: "E0001"}}
      凤凰: {}
    access:
      read:  {corp-ldap: {group: "prj-{project}-readers"}, files: {path: "projects/{project}", permission: r-x}}
      write: {corp-ldap: {group: "prj-{project}-writers", mode: additive}}
  site-plans/{site}:
    classification: internal
    mode: observe
    values: {cn: {}, cn/shanghai/2: {}}
    access: {read: {corp-ldap: {group: "site-{site}"}}}
  not-yet/{project}:
    classification: internal
    compartments: ["project/{project}"]
    values: {}
    access: {read: {corp-ldap: {group: "new-{project}"}}}
roles:
  project-reader:
    grants: {read: ["project-docs/{project}"]}
  project-member:
    for_each: {project: projects}
    inherits: [project-reader]
    grants: {read: ["not-yet/{project}", handbook]}
  project-lead:
    match: {grade: {min: P6}}
    for_each: {project: projects, site: {location: ancestors}}
    inherits: [project-member]
    grants: {write: ["project-docs/{project}"], read: ["site-plans/{site}"]}
  falcon-guest:
    members: [{person: "E1007", until: 2027-06-30}]
    grants: {read: [project-docs/falcon]}
"""

WITH_PROJECTS: Mapping[str, bytes] = {**COMPANY, "policies/projects.yaml": PROJECTS.encode()}


def loaded(text: str = PROJECTS) -> Policy:
    """The company's policy with this text as the file about projects."""
    return load_policy({**COMPANY, "policies/projects.yaml": text.encode()}, revision="")


def given(role: Role, permission: str) -> list[tuple[object, tuple[str, ...]]]:
    """Condition and chain of each grant of a permission in a role."""
    wanted = Permission(*permission.rsplit(":", 1))
    return [(grant.when, chain) for grant, chain in role.all_grants if grant.permission == wanted]
