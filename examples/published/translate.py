"""From an organisation's published teams to a workspace of ours: ``python translate.py SOURCE DIRECTORY``.

SOURCE is one organisation in the format of peribolos, the tool with which open-source projects keep the teams of their
code platform in git: owners (`admins`), members, teams with members and nested teams, and which team has which
permission on which repository. DIRECTORY gets a policy tree, the people as a CSV file, a workspace file and a casbin
vault to try it on. The same source gives the same bytes, on every day and every machine.

What the platform documents, and what therefore is spelled out here, because with us no action implies another:

- the levels are read < triage < write < maintain < admin, and each includes those below it;
- a nested team has what its parent has, and more; nothing flows from the nested team to its parent;
- whoever maintains a team belongs to it;
- owners have admin on every repository, and members have the organisation's default permission on every repository.

Source: https://docs.github.com/organizations/managing-user-access-to-your-organizations-repositories and
https://docs.prow.k8s.io/docs/components/cli-tools/peribolos/
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

LEVELS = ("read", "triage", "write", "maintain", "admin")
"""What may be done with a repository, lowest first."""
NONE = "none"
TARGET = "platform"
VAULT = "vault.csv"
VISIBILITIES = ("public", "private")
MODEL = """\
# How the platform decides: whoever holds a role may do what the role may.
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""


class NotUnderstood(ValueError):
    """The published file says something that cannot be translated."""


@dataclass(frozen=True, slots=True)
class Team:
    """One team: who is in it directly, and the level that it has on its repositories. `parent` is "" at the top."""

    name: str
    parent: str
    people: tuple[str, ...]
    levels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Organisation:
    """What one organisation has published. People are spelled everywhere as among the owners and members."""

    name: str
    default: str
    owners: tuple[str, ...]
    members: tuple[str, ...]
    teams: Sequence[Team]
    visibility: Mapping[str, str]
    """Repository → public or private."""
    collaborators: Mapping[str, Mapping[str, str]]
    """Repository → person → level: people who are named on one repository."""

    @property
    def people(self) -> Mapping[str, str]:
        """Everybody, each with how they belong: owner, member or outside."""
        outside = sorted({person for named in self.collaborators.values() for person in named}, key=str.casefold)
        belonging = dict.fromkeys((*self.owners, *self.members, *outside), "outside")
        return belonging | dict.fromkeys(self.members, "member") | dict.fromkeys(self.owners, "owner")


# --- reading --------------------------------------------------------------------------------------------------------


def read(text: str) -> Organisation:
    """The one organisation of a published file. Raises `NotUnderstood`."""
    organisations = section(yaml.safe_load(text), "orgs")
    if len(organisations) != 1:
        raise NotUnderstood(f"expected one organisation under `orgs`, found {len(organisations)}")
    name, said = next(iter(organisations.items()))
    owners, members = people_of(said, "admins"), people_of(said, "members")
    spelled = {person.casefold(): person for person in (*members, *owners)}
    teams = [*teams_of(section(said, "teams"), "", speller(spelled))]
    if twice := [team for team, times in Counter(team.name for team in teams).items() if times > 1]:
        raise NotUnderstood(f"two teams are called {twice[0]}")
    declared = section(said, "repos")
    collaborators = {
        repo: {spelled.get(who.casefold(), who): level(what, repo) for who, what in named.items()}
        for repo in declared
        if (named := section(section(declared, repo), "collaborators"))
    }
    repositories = sorted({*declared, *(repo for team in teams for repo in team.levels)}, key=str.casefold)
    return Organisation(
        str(name),
        level(str(section(organisations, name).get("default_repository_permission", "read")), "the organisation"),
        owners,
        members,
        teams,
        {repo: VISIBILITIES[bool(section(declared, repo).get("private"))] for repo in repositories},
        collaborators,
    )


def section(said: object, name: str) -> Mapping[str, object]:
    """A part of the file that is a mapping; one that is missing or blank is empty."""
    part = said.get(name) if isinstance(said, Mapping) else None
    if part is not None and not isinstance(part, Mapping):
        raise NotUnderstood(f"`{name}` should be a mapping")
    if unnamed := [key for key in part or () if not isinstance(key, str)]:
        raise NotUnderstood(f"`{name}`: {unnamed[0]} is no name; quote what looks like a number")
    return part or {}


def people_of(said: object, name: str) -> tuple[str, ...]:
    """A list of people as it stands in the file."""
    part = said.get(name) if isinstance(said, Mapping) else None
    if part is not None and not (isinstance(part, list) and all(isinstance(person, str) for person in part)):
        raise NotUnderstood(f"`{name}` should be a list of names; quote those that look like numbers")
    return tuple(part or ())


def speller(spelled: Mapping[str, str]) -> Callable[[str, str], str]:
    """Names are compared without regard to case by the platform, but not by a policy: one spelling for all."""

    def spell(person: str, team: str) -> str:
        if person.casefold() not in spelled:
            raise NotUnderstood(f"team {team}: {person} is no member of the organisation, so the platform has no such")
        return spelled[person.casefold()]

    return spell


def teams_of(said: Mapping[str, object], parent: str, spell: Callable[[str, str], str]) -> Iterator[Team]:
    """The teams and all that are nested in them, parents first."""
    for name, team in said.items():
        if ";" in name:
            raise NotUnderstood(f"team {name}: a `;` separates the teams in the people's file")
        direct = (*people_of(team, "maintainers"), *people_of(team, "members"))
        levels = {repo: level(what, name) for repo, what in section(team, "repos").items()}
        yield Team(name, parent, tuple(dict.fromkeys(spell(person, name) for person in direct)), levels)
        yield from teams_of(section(team, "teams"), name, spell)


def level(said: object, where: str) -> str:
    """A level of the platform, or none."""
    if said not in (*LEVELS, NONE):
        raise NotUnderstood(f"{where}: {said!r} is no permission; known: {', '.join((*LEVELS, NONE))}")
    return str(said)


# --- writing --------------------------------------------------------------------------------------------------------


class Plain(yaml.SafeDumper):
    """YAML without anchors, and with quotes around whatever some reader could take for a number, such as 1e3."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A text; plain only where it begins with no digit, sign or dot before a digit."""
    numeric = re.match(r"[-+.]*[0-9]", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if numeric else None)


Plain.add_representer(str, represent_text)


def files(source: Organisation, until: date | None) -> dict[str, str]:
    """Every file of the workspace, by its path. `until` ends what was given to people by name."""
    return {
        "policies/words.yaml": yaml_text(words(), "What the published files say of a person, and of a repository."),
        "policies/repositories.yaml": yaml_text(
            {"resources": resources(source)}, "Each repository, with its five actions."
        ),
        "policies/roles.yaml": yaml_text(
            {"roles": roles(source, until)}, "Each team that opens something; a nested team inherits its parent."
        ),
        "people.csv": table(source),
        "reconciler.yaml": yaml_text(workspace(source.name), "Everything is in files beside this one."),
        "vault.conf": MODEL,
        VAULT: "".join(f"p, {repo}:{action}, {repo}, {action}\n" for repo in source.visibility for action in LEVELS),
    }


def yaml_text(content: Mapping[str, object], comment: str) -> str:
    """YAML with a comment on top."""
    return f"# {comment}\n" + yaml.dump(
        content, Dumper=Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )


def words() -> dict[str, object]:
    """The attributes and classes."""
    return {
        "attributes": {
            "membership": {"kind": "one_of", "values": ["owner", "member", "outside"]},
            "teams": {"kind": "set"},
        },
        "clearances": [{visibility: {}} for visibility in VISIBILITIES],
    }


def resources(source: Organisation) -> dict[str, object]:
    """A repository's actions are roles of the vault, named like the permission."""
    return {
        repo: {
            "classification": visibility,
            "access": {action: {TARGET: {"role": f"{repo}:{action}"}} for action in LEVELS},
        }
        for repo, visibility in source.visibility.items()
    }


def roles(source: Organisation, until: date | None) -> dict[str, object]:
    """The owners, the members, the teams, and who is named on a repository."""
    everywhere = source.visibility.keys()
    written: dict[str, object] = {
        "owner": {"match": {"membership": "owner"}, "grants": grants(dict.fromkeys(everywhere, LEVELS[-1]))}
    }
    if source.default != NONE:
        belong = {"membership": ["owner", "member"]}
        written["member"] = {"match": belong, "grants": grants(dict.fromkeys(everywhere, source.default))}
    opening: set[str] = set()
    for team in source.teams:
        inherits = [f"team/{team.parent}"] if team.parent in opening else []
        given = grants(team.levels)
        if inherits or given:
            opening.add(team.name)
            written[f"team/{team.name}"] = {
                **({"inherits": inherits} if inherits else {}),
                "match": {"teams": team.name},
                **({"grants": given} if given else {}),
            }
    return written | named_people(source, until)


def named_people(source: Organisation, until: date | None) -> dict[str, object]:
    """A role for each level at which people are named on a repository."""
    groups: dict[tuple[str, str], list[str]] = {}
    for repo, named in source.collaborators.items():
        for person, given in named.items():
            groups.setdefault((repo, given), []).append(person)
    if groups and until is None:
        raise NotUnderstood("people are named on repositories, and what is given by name must end: add --until DAY")
    return {
        f"collaborator/{repo}/{given}": {
            "members": [{"person": person, "until": until, "reason": f"Named on {repo}"} for person in people],
            "grants": grants({repo: given}),
        }
        for (repo, given), people in groups.items()
        if given != NONE
    }


def grants(levels: Mapping[str, str]) -> dict[str, list[str]]:
    """Action → repositories: a level gives itself and each below it, in so many words."""
    reach = {repo: LEVELS.index(given) for repo, given in levels.items() if given != NONE}
    found = {action: [repo for repo in reach if reach[repo] >= rank] for rank, action in enumerate(LEVELS)}
    return {action: repositories for action, repositories in found.items() if repositories}


def table(source: Organisation) -> str:
    """Everybody, one row each, in our own columns."""
    teams: dict[str, list[str]] = {}
    for team in source.teams:
        for person in team.people:
            teams.setdefault(person, []).append(team.name)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "name", "status", "membership", "teams"])
    for person, belonging in source.people.items():
        writer.writerow([person, person, "active", belonging, ";".join(teams.get(person, ()))])
    return out.getvalue()


def workspace(name: str) -> dict[str, object]:
    """The workspace file."""
    return {
        "format": "reconciler.workspace/1",
        "organization": name,
        "timezone": "UTC",
        "policies": ["policies"],
        "store": "sqlite:///state/reconciler.db",
        "sources": {"community": {"type": "csv", "path": "people.csv", "feed": "full"}},
        "targets": {TARGET: {"type": "casbin", "model": "vault.conf", "policy": VAULT}},
    }


# --- the command ----------------------------------------------------------------------------------------------------


def counts(source: Organisation) -> Iterator[str]:
    """What was found, in figures."""
    nested = sum(1 for team in source.teams if team.parent)
    places = sum(len(team.people) for team in source.teams)
    belonging = Counter(source.people.values())
    yield f"{source.name}: {len(source.teams)} teams ({nested} nested, {places} places in them)"
    yield f"{len(source.visibility)} repositories, {len(source.people)} people ({told(belonging)})"
    given = Counter(what for team in source.teams for what in team.levels.values())
    named = Counter(what for people in source.collaborators.values() for what in people.values())
    yield f"published to teams: {told(given)}; to people by name: {told(named) or 'nothing'}"
    yield f"published to members on every repository: {source.default}"


def told(found: Counter[str]) -> str:
    """Words with their numbers, lowest level first."""
    order = (NONE, *LEVELS)
    words = sorted(found, key=lambda word: (order.index(word) if word in order else 0, word))
    return ", ".join(f"{found[word]} {word}" for word in words)


def write(directory: Path, content: Mapping[str, str]) -> None:
    """Write the files; what else the directory holds stays, and so does every line of a vault that is there."""
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completed(path.read_text("utf-8"), text) if name == VAULT and path.exists() else text, "utf-8")


def completed(held: str, text: str) -> str:
    """What is held, and after it those lines of the text that it lacks."""
    lines = held.splitlines()
    known = set(lines)
    return "".join(f"{line}\n" for line in (*lines, *(line for line in text.splitlines() if line not in known)))


def main(arguments: Iterable[str]) -> int:
    """Translate; 0 where it was done, 1 where the source was not understood."""
    parser = argparse.ArgumentParser(description="Translate an organisation's published teams to a workspace.")
    parser.add_argument("source", type=Path, help="the published file, such as etcd-io/org.yaml")
    parser.add_argument("directory", type=Path, help="where the workspace is written")
    parser.add_argument("--until", type=date.fromisoformat, help="the last day of what people were given by name")
    given = parser.parse_args([*arguments])
    try:
        source = read(given.source.read_text("utf-8"))
        content = files(source, given.until)
    except (NotUnderstood, OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"{given.source}: {error}\n")
        return 1
    write(given.directory, content)
    lines = [*counts(source), f"written to {given.directory}: {', '.join(content)}"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
