"""Permission patterns: how separation and invariants name permissions, several at a time.

A pattern is ``RESOURCE:ACTION``. The action may be ``*``; the resource is one that is declared, one of a family
(``project-docs/falcon``), a family (``project-docs/{project}``: all its listed values), or everything behind a prefix
(``project-docs/*``). Only what takes away or counts may be named so: a grant names each resource by itself, since what
is added later would otherwise open by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.errors import Place
from reconciler.policy.model import Permission, Resource, ResourceFamily
from reconciler.policy.report import Names, Report, listed

ANY = "*"
_SPELLING = "write `resource:action`, such as `basic-docs:read`, `basic-docs:*` or `project-docs/*:read`"


@dataclass(frozen=True, slots=True)
class PermissionPatterns:
    """What patterns can name: the resources and families that are whole, and the names of all."""

    resources: Mapping[str, Resource]
    families: Mapping[str, ResourceFamily]
    names: Names

    def permissions(self, text: str, user: str, place: Place, report: Report) -> tuple[Permission, ...] | None:
        """What the pattern names, in the order of the policy; None, with an error, where it names nothing.

        A family without values names nothing yet, which is no mistake. `user` begins the message.
        """
        resource, action = self._parts(text)
        if not resource or ANY in resource.removesuffix("/*") or (ANY in action and action != ANY):
            report.error("pattern", f"{user}: `{text}` names no permissions", place, _SPELLING)
            return None
        actions = self._actions(resource)
        if actions is None:
            self._report_resource(resource, user, place, report)
            return None
        if action != ANY and actions and action not in {name for have in actions.values() for name in have}:
            self._report_action("empty-pattern", resource, action, actions.values(), user, place, report)
            return None
        return tuple(
            Permission(name, each)
            for name, have in actions.items()
            if name in self.resources
            for each in have
            if action in (ANY, each)
        )

    def permission(self, text: str, user: str, place: Place, report: Report) -> Permission | None:
        """The one permission that a text without ``*`` and without variable names, or None with an error."""
        resource, action = self._parts(text)
        if not resource or ANY in text:
            report.error("pattern", f"{user}: `{text}` is no permission", place, "write `resource:action`")
        elif resource in self.families:
            remedy = (
                f"name one resource, such as `{next(iter(self.families[resource].values.values()), 'docs/falcon')}`"
            )
            report.error("unbound-variable", f"{user}: nothing binds the variable of `{resource}`", place, remedy)
        elif resource not in self.resources:
            if not self._maybe_broken(resource):
                remedy = report.suggestion(resource, sorted(self.resources), self.names.inventory())
                message = f"{user} the resource `{resource}`, which is not declared"
                report.error("unknown-resource", message, place, remedy)
        elif action not in self.resources[resource].actions:
            have = [self.resources[resource].actions]
            self._report_action("unknown-action", resource, action, have, user, place, report)
        else:
            return Permission(resource, action)
        return None

    def _parts(self, text: str) -> tuple[str, str]:
        resource, separator, action = text.partition(":")
        return (resource, action) if separator and action else ("", "")

    def _actions(self, resource: str) -> dict[str, Iterable[str]] | None:
        """Resource (or family) → its actions, for all that the resource part of a pattern names; None for nothing."""
        if resource in self.resources:
            return {resource: self.resources[resource].actions}
        if resource in self.families:
            return self._of_family(self.families[resource])
        if not resource.endswith("/*"):
            return None
        prefix = resource.removesuffix(ANY)
        found: dict[str, Iterable[str]] = {
            name: one.actions for name, one in self.resources.items() if name.startswith(prefix)
        }
        for name, family in self.families.items():
            if name.startswith(prefix):
                found |= self._of_family(family)
        return found or None

    def _of_family(self, family: ResourceFamily) -> dict[str, Iterable[str]]:
        """Also the family itself, so that its actions are known before it has a value."""
        actions = dict.fromkeys(template.action for template in family.bindings)
        members = {name: self.resources[name].actions for name in family.values.values() if name in self.resources}
        return {family.name: actions, **members}

    def _report_resource(self, resource: str, user: str, place: Place, report: Report) -> None:
        if self._maybe_broken(resource):
            return
        names = {*self.names.places, *self.resources}
        names |= {f"{name.rsplit('/', 1)[0]}/*" for name in names if "/" in name} if resource.endswith("/*") else set()
        remedy = report.suggestion(resource, sorted(names), self.names.inventory())
        report.error("empty-pattern", f"{user}: there is no resource `{resource}`", place, remedy)

    def _maybe_broken(self, resource: str) -> bool:
        """Whether something of this name is declared and could not be read; then the mistake has been told."""
        if not self.names.complete or resource in self.names.places:
            return True
        broken = (name for name in self.names.places if name not in self.resources and name not in self.families)
        prefixes = (name.split("{", 1)[0] for name in broken if "{" in name or resource.endswith("/*"))
        return any(resource.startswith(prefix) or prefix.startswith(resource.removesuffix(ANY)) for prefix in prefixes)

    def _report_action(
        self,
        code: str,
        resource: str,
        action: str,
        actions: Iterable[Iterable[str]],
        user: str,
        place: Place,
        report: Report,
    ) -> None:
        have = list(dict.fromkeys(name for names in actions for name in names))
        remedy = report.suggestion(action, have, f"possible here: {listed(have)}")
        report.error(code, f"{user}: `{resource}` has no action `{action}`", place, remedy)
