"""A SCIM provider as tests of its adapter see it: from behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.scim import ScimTarget
from reconciler.targets import (
    EntitlementRead,
    Locator,
    Observation,
    Op,
    Outcome,
    Place,
    Step,
    Target,
    TargetContext,
    TargetFinding,
)
from reconciler.testing.targets import Lab, LabAccount
from tests.servers.scim import TOKEN, Tenant
from tests.servers.scim_proxy import ScimProxy

__all__ = ["ProxiedLab", "ScimLab", "context", "outcomes", "settings_for", "told"]


def context(folder: Path = Path()) -> TargetContext:
    return TargetContext("wiki", folder, Place("reconciler.yaml"))


def settings_for(url: str, **more: object) -> dict[str, object]:
    return {"url": url, "auth": {"bearer": TOKEN}, "match": {"externalId": "id"}, **more}


class ScimLab(Lab):
    """A provider with these users and groups, and no others."""

    def __init__(
        self, tenant: Tenant, people: Sequence[LabAccount], groups: Mapping[str, Sequence[str]], /, **more: object
    ) -> None:
        self.tenant = tenant
        users = [{"userName": each.login, "externalId": each.id, "displayName": each.name} for each in people]
        keys = tenant.add_users(users)
        self.keys = {each.login: key for each, key in zip(people, keys, strict=True)}
        self.groups = {
            name: tenant.add_group(name, [{"value": self.keys[login]} for login in logins])
            for name, logins in groups.items()
        }
        self.settings = settings_for(tenant.url, **more)
        self.target = ScimTarget(context(), self.settings)

    def with_accounts(self) -> Target:
        create = {"attributes": {"userName": "{id|lower}", "externalId": "{id}"}}
        return ScimTarget(
            context(), {**self.settings, "accounts": {"disable": "active", "delete": True, "create": create}}
        )

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return self.keys[login]

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        logins = {key: login for login, key in self.keys.items()}
        members = self.tenant.get(f"/Groups/{self.groups[group]}").get("members", [])
        return {logins.get(member["value"], member["value"]) for member in members}

    def put(self, group: str, login: str) -> None:
        member = {"value": self.keys[login], "$ref": f"{self.tenant.url}/Users/{self.keys[login]}", "display": "何か"}
        self._put(group, member)

    def put_foreign(self, group: str) -> str:
        principal = 'legacy "old"\nteam; 部门/\\'
        self._put(group, {"value": principal})
        return principal

    def remove_account(self, login: str) -> None:
        self.tenant.delete(f"/Users/{self.keys[login]}")

    def picture(self) -> object:
        return self.tenant.everything("Users"), self.tenant.everything("Groups")

    def user(self, login: str) -> Mapping[str, object]:
        """The user as it is."""
        found: Mapping[str, object] = self.tenant.get(f"/Users/{self.keys[login]}")
        return found

    def step(self, op: Op, login: str, **locator: str) -> Step:
        return Step(op, self.key(login), login, locator)

    def _put(self, group: str, member: Mapping[str, str]) -> None:
        self.tenant.patch(f"/Groups/{self.groups[group]}", {"op": "add", "path": "members", "value": [member]})


def outcomes(target: Target, *steps: Step) -> Sequence[Outcome]:
    with target.writer() as writer:
        return writer.apply(steps)


def told(observation: Observation, kind: str) -> Sequence[TargetFinding]:
    return [finding for finding in observation.findings if finding.kind == kind]


class ProxiedLab:
    """A provider that is reached through a proxy. `target` is made anew with other settings by `configured`."""

    def __init__(self, lab: ScimLab, proxy: ScimProxy) -> None:
        self.lab = lab
        self.proxy = proxy
        self.target = self.configured()

    def configured(self, **more: object) -> ScimTarget:
        """A target with these settings, from now on."""
        self.target = ScimTarget(context(), settings_for(self.proxy.url, **more))
        return self.target

    def observe(self, *groups: str, accounts: Sequence[str] | None = None) -> Observation:
        keys = None if accounts is None else [self.lab.key(login) for login in accounts]
        return self.target.observe([{"group": group} for group in groups], keys)

    def read(self, group: str) -> EntitlementRead:
        """One group, read."""
        [read] = self.observe(group).entitlements.values()
        return read

    def apply(self, *steps: Step) -> Sequence[Outcome]:
        return outcomes(self.target, *steps)

    def grant(self, login: str, group: str) -> Step:
        return self.lab.step(Op.GRANT, login, group=group)

    def revoke(self, login: str, group: str) -> Step:
        return self.lab.step(Op.REVOKE, login, group=group)

    def members(self, group: str) -> set[str]:
        return self.lab.members(group)
