"""Random policies for small companies, the mistakes that people make in them included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from reconciler.policy import load_policy
from reconciler.policy.model import Policy

FILE = "policy.yaml"
MANAGED = {"dir": ("handbook", "docs", "docs-w", "algorithms"), "vault": ("core", "books")}
UNMANAGED = "canteen"
"""A group on every target that no policy ever names."""


@dataclass(frozen=True)
class Draft:
    """What may be otherwise in a policy. The defaults are a policy as it should be."""

    training: str = "valid_for: 1y"
    core: str = "[training]"
    engineers: str = "rd"
    staff: str = "[handbook]"
    docs_mode: str = "enforce"
    books: bool = True
    protected: str = ""
    lifecycle: str = "  notice: {ceiling: public}\n  exited: {disable: immediately, delete_after: 30d}\n"
    guards: str = ""
    more: str = ""

    @property
    def text(self) -> str:
        """The policy file."""
        books = "  books: {classification: internal, access: {read: {vault: {group: books}}}}\n" if self.books else ""
        sales = "  seller: {match: {department: sales}, grants: {read: [books]}}\n" if self.books else ""
        protected = f"  protected: [{self.protected}]\n" if self.protected else ""
        guards = f"guards:\n{self.guards}{protected}" if self.guards or protected else ""
        return (
            "attributes:\n  department: {kind: tree}\n  post: {kind: one_of, values: [engineer, lead, clerk]}\n"
            "evidence:\n  nda: {kind: agreement, version: 1}\n"
            f"  training: {{kind: training, {self.training}}}\n  check: {{kind: check, valid_for: 6mo}}\n"
            "clearances:\n  - public: {}\n  - internal: {requires: [nda]}\n"
            f"  - core: {{requires: {self.core}}}\n"
            "resources:\n  handbook: {classification: public, access: {read: {dir: {group: handbook}}}}\n"
            f"  docs: {{classification: internal, mode: {self.docs_mode}, access: "
            "{read: {dir: {group: docs}}, write: {dir: {group: docs-w}}}}\n"
            "  algorithms: {classification: core, access: {read: {dir: {group: algorithms}, vault: {group: core}}}}\n"
            f"{books}roles:\n  staff: {{everyone: true, grants: {{read: {self.staff}}}}}\n"
            f"  engineer: {{match: {{department: {self.engineers}}}, grants: {{read: [docs]}}}}\n"
            "  lead: {inherits: [engineer], match: {department: rd, post: lead}, grants: {write: [docs]}}\n"
            "  researcher: {match: {department: rd/ai}, grants: {read: [algorithms]}}\n"
            f"{sales}lifecycle:\n{self.lifecycle}{guards}{self.more}"
        )


def drawn(random: Random) -> Draft:
    """A policy without mistakes."""
    lifecycle = "  notice: {ceiling: " + random.choice(["public", "internal"]) + "}\n"
    lifecycle += random.choice(["", "  leave: {after: 2d, suspend: true}\n", "  leave: {ceiling: public}\n"])
    lifecycle += random.choice(["", "  transfer: {overlap: 3d, ceiling: internal}\n"])
    lifecycle += random.choice(["", "  preboarding: {ceiling: public, opens: 3d}\n"])
    lifecycle += "  exited: {disable: immediately" + random.choice(["", ", delete_after: 20d"]) + "}\n"
    return Draft(
        training=random.choice(["valid_for: 1y", "valid_for: 6mo", "valid_for: 1y, grace: 5d"]),
        core=random.choice(["[training]", "[training, check]", "[{any_of: [training, check]}]"]),
        docs_mode=random.choice(["enforce", "enforce", "enforce", "additive"]),
        protected=random.choice(["", "", '"E2"']),
        lifecycle=lifecycle,
        guards=random.choice(["", "", "  approvals: {core: 1}\n", "  exits: {percent: 10, people: 3}\n"]),
        more=random.choice(["", _OWNER, _EXCEPTION, _LOCKOUT, _INVARIANTS]),
    )


_OWNER = '  owner: {members: [{person: "E3", until: 2027-01-03, reason: owner}], grants: {read: [algorithms]}}\n'
_EXCEPTION = (
    'exceptions: [{person: "E4", grants: {read: [algorithms]}, since: 2026-11-20, until: 2026-12-06, reason: help, '
    'ticket: T-1, approved_by: ["E1"]}]\n'
)
_LOCKOUT = 'lockouts: [{person: "E5", ref: SEC-1, since: 2026-12-01}]\n'
_INVARIANTS = (
    'invariants:\n  - {at_most: 6, permission: "algorithms:read"}\n  - {at_least: 1, permission: "docs:read"}\n'
)
_LOOSE = (
    "  rules: {revoke: {percent: 100, people: 1000}, grant: {percent: 100, people: 1000}}\n"
    "  people: {revoke: {percent: 100, people: 1000}, grant: {percent: 100, people: 1000}}\n"
)


def changed(random: Random, draft: Draft) -> tuple[str, Draft]:
    """What is changed, and the policy with that change; many a change is a mistake."""
    what = random.choice(
        ["empty a role", "core to everyone", "loosen the guards", "drop a resource", "another policy", "only observe"]
    )
    if what == "empty a role":
        return what, replace(draft, engineers="rnd")
    if what == "core to everyone":
        return what, replace(draft, staff="[handbook, algorithms]")
    if what == "loosen the guards":
        return what, replace(draft, guards=_LOOSE, protected="")
    if what == "drop a resource":
        return what, replace(draft, books=False)
    if what == "only observe":
        return what, replace(draft, docs_mode="observe")
    return what, drawn(random)


@dataclass(frozen=True)
class Standing:
    """A checked policy and the files it was read from."""

    policy: Policy
    files: Mapping[str, bytes]
    draft: Draft


@lru_cache(maxsize=4096)
def standing(draft: Draft) -> Standing:
    """The policy of a draft, checked."""
    text = draft.text
    if "  owner:" in draft.more:  # a role stands among the roles
        role, text = draft.more, text.removesuffix(draft.more)
        text = text.replace("lifecycle:\n", f"{role}lifecycle:\n", 1)
    files = {FILE: text.encode()}
    return Standing(load_policy(files, revision="r1"), files, draft)
