"""A second reading of a published file, which shares nothing with the translation or the product.

It goes from the bottom up: for each person, each team that names them, and from there through the parents to the top.
The translation goes the other way, from the top down by inherited roles. The file is read with every scalar as a text:
YAML's simplest loader makes neither numbers nor objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

LADDER = ["read", "triage", "write", "maintain", "admin"]
Right = tuple[str, str, str]
"""A person, a repository, an action."""
Way = tuple[str, ...]
"""The teams from the one that names the person up to the one with the permission; or one of the words below."""
OWNER, MEMBER, NAMED = ("(owner)",), ("(member)",), ("(named)",)


@dataclass(frozen=True)
class Published:
    """One organisation as its file says."""

    text: str

    @classmethod
    def at(cls, path: Path) -> Published:
        return cls(path.read_text("utf-8"))

    @cached_property
    def said(self) -> dict[str, Any]:
        (organisation,) = yaml.load(self.text, Loader=yaml.BaseLoader)["orgs"].values()  # noqa: S506
        assert isinstance(organisation, dict)
        return organisation

    @cached_property
    def owners(self) -> list[str]:
        return list(self.said.get("admins") or [])

    @cached_property
    def members(self) -> list[str]:
        return list(self.said.get("members") or [])

    @cached_property
    def people(self) -> set[str]:
        return {*self.owners, *self.members, *(who for who, _, _ in self.named())}

    @cached_property
    def teams(self) -> dict[str, dict[str, Any]]:
        """Every team by name, nested ones included."""
        found: dict[str, dict[str, Any]] = {}
        waiting = [self.said.get("teams") or {}]
        while waiting:
            some = waiting.pop()
            found |= some
            waiting += [team.get("teams") or {} for team in some.values()]
        return found

    @cached_property
    def parent(self) -> dict[str, str]:
        return {nested: name for name, team in self.teams.items() for nested in team.get("teams") or {}}

    @cached_property
    def repositories(self) -> set[str]:
        return {*(self.said.get("repos") or {}), *(repo for team in self.teams.values() for repo in opened(team))}

    def line(self, team: str) -> Iterator[str]:
        """The team and those around it, outwards."""
        while team:
            yield team
            team = self.parent.get(team, "")

    def spelled(self, who: str) -> str:
        """The platform does not tell Anna from anna."""
        return next((known for known in (*self.owners, *self.members) if known.lower() == who.lower()), who)

    def named(self) -> Iterator[Right]:
        """Who is named on a repository: person, repository, level."""
        for repo, settings in (self.said.get("repos") or {}).items():
            for who, level in (settings.get("collaborators") or {}).items():
                yield self.spelled(who), repo, level

    def published(self) -> Iterator[tuple[str, str, str, Way]]:
        """Whatever gives somebody something: person, repository, level, way."""
        default = self.said.get("default_repository_permission", "read")
        for repo in self.repositories:
            yield from ((who, repo, "admin", OWNER) for who in self.owners)
            yield from ((who, repo, default, MEMBER) for who in {*self.owners, *self.members})
        for name, team in self.teams.items():
            path = list(self.line(name))
            for who in {self.spelled(who) for role in ("maintainers", "members") for who in team.get(role) or []}:
                for steps, giving in enumerate(path, 1):
                    for repo, level in opened(self.teams[giving]).items():
                        yield who, repo, level, tuple(path[:steps])
        yield from ((*each, NAMED) for each in self.named())

    @cached_property
    def ways(self) -> dict[Right, set[Way]]:
        """Who may do what, and by which ways."""
        found: dict[Right, set[Way]] = {}
        for who, repo, level, way in self.published():
            for action in up_to(level):
                found.setdefault((who, repo, action), set()).add(way)
        return found

    @cached_property
    def rights(self) -> set[Right]:
        return set(self.ways)

    @property
    def figures(self) -> str:
        """What was compared, for messages."""
        return (
            f"{len(self.teams)} teams ({len(self.parent)} nested), {len(self.repositories)} repositories, "
            f"{len(self.people)} people, {len(self.rights)} permissions"
        )


def opened(team: dict[str, Any]) -> dict[str, str]:
    """Repository → level, as the team itself has it."""
    return team.get("repos") or {}


def up_to(level: str) -> Iterable[str]:
    """The actions that a level gives."""
    return [] if level == "none" else LADDER[: LADDER.index(level) + 1]


def compared(found: set[Right], published: Published) -> str:
    """Nothing where both are the same; otherwise what is too much and what is missing."""
    extra, missing = found - published.rights, published.rights - found
    if not extra and not missing:
        return ""
    too_many, lacking = (
        f"{len(some)} {what} {sorted(some)[:5]}" for some, what in ((extra, "too many"), (missing, "missing"))
    )
    return f"of {published.figures}: {too_many}, {lacking}"
