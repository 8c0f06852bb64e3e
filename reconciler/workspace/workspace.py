"""One workspace: reads ``reconciler.yaml`` and the policy tree, and wires sources, targets and store.

The one place that knows adapters, and those only by entry point; the one place with a clock, an environment and a git.
What is read here is checked here: a wrong workspace stops before anything is written.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.apply.journal import Journal
from reconciler.errors import Place, Problem, ProblemsFound
from reconciler.facts.evidence import EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS, import_evidence
from reconciler.facts.feed import REQUIRED_COLUMNS, feed_columns, import_people
from reconciler.facts.model import Population
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.passes import work
from reconciler.passes.memory import recorded_policy
from reconciler.passes.operators import Actor, Operators
from reconciler.passes.tokens import token_behind
from reconciler.passes.wiring import ConfiguredTarget, Wiring
from reconciler.policy import check_policy
from reconciler.policy.clauses import read_clause
from reconciler.policy.containment import containment_problems
from reconciler.policy.former import with_former
from reconciler.policy.model import Entitlement, EntitlementRef, Limit, Period, Policy
from reconciler.policy.nodes import Node, key_place
from reconciler.policy.periods import parse_period
from reconciler.policy.report import Report
from reconciler.policy.yaml_tree import read_yaml
from reconciler.sources import Feed, Source, SourceContext, SourceError
from reconciler.targets import Target, TargetContext, entitlement_locator
from reconciler.workspace.file import RunInProgress, SecretMissing, WorkspaceError, WorkspaceFile, find_place
from reconciler.workspace.notifications import ROBOTS, Channel
from reconciler.workspace.references import References
from reconciler.workspace.repository import PolicyRepository
from reconciler.workspace.service import PushSecrets
from reconciler.workspace.tree import TreeMark, mark_of

TARGETS = "reconciler.targets"
SOURCES = "reconciler.sources"


@dataclass(frozen=True, slots=True)
class StandingPolicy:
    """The policy that counts now, and the files it was read from. Where the tree does not pass, it is the last one that
    a run was made under (whose files are on record), and `problems` say what is wrong with the tree. `tree` is what
    stood there.
    """

    policy: Policy
    files: Mapping[str, bytes]
    problems: ProblemsFound | None = None
    tree: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace file that has been read and checked; nothing is open yet."""

    path: Path
    spec: WorkspaceFile
    node: Node

    @classmethod
    def load(cls, file: str | Path) -> Workspace:
        """Read the file. Raises `WorkspaceError` where there is none, `ProblemsFound` where it is wrong."""
        path = Path(file)
        try:
            content = path.read_bytes()
        except OSError as error:
            text = f"the workspace file cannot be read: {error.strerror or error}"
            remedy = "make one with `reconciler init DIR`, or name it: --workspace FILE"
            raise WorkspaceError(text, place=Place(str(file)), remedy=remedy) from None
        report = Report()
        node = read_yaml(str(file), content, report)
        read = None
        if node is not None:
            place = Place(str(file), 1, 1)
            read = read_clause(WorkspaceFile, node, "workspace", "the workspace", place, report)
        if read is None or report.failed:
            raise ProblemsFound(f"{file} is no usable workspace", report.problems())
        found = cls(path, *read)
        if problems := list(found._scheduled_without_source()):
            raise ProblemsFound(f"{file} is no usable workspace", problems)
        return found

    def _scheduled_without_source(self) -> Iterator[Problem]:
        schedule, known = self.spec.service.schedule, ", ".join(sorted(self.spec.sources)) or "none"
        for kind, turns in (("imports", schedule.imports), ("full_imports", schedule.full_imports)):
            for name in turns.keys() - self.spec.sources.keys():
                text = f"there is no source `{name}` to import"
                yield Problem("workspace", text, self.place("service", "schedule", kind, name), f"it has: {known}")

    @property
    def folder(self) -> Path:
        """What relative paths in the workspace file are relative to."""
        return self.path.parent

    @property
    def zone(self) -> ZoneInfo:
        """What a whole day means here."""
        return ZoneInfo(self.spec.timezone)

    def retention(self) -> Period | None:
        """How long what is on record of people is kept after they have left; None: for good."""
        return parse_period(self.spec.retention.after_exit) if self.spec.retention else None

    def place(self, *path: str | int) -> Place:
        """Where something stands in the workspace file."""
        return key_place(self.node, path)

    # --- policies ---------------------------------------------------------------------------------------------------

    def policy_files(self) -> dict[str, bytes]:
        """Every file of the policy tree: its path as seen from the workspace's folder → its content."""
        files: dict[str, bytes] = {}
        for index, name in enumerate(self.spec.policies):
            folder = self.folder / name
            if not folder.is_dir():
                text = f"there is no policy folder {name}"
                raise WorkspaceError(text, place=self.place("policies", index), remedy="correct `policies`")
            for path in _yaml_files(folder):
                files[os.path.relpath(path, self.folder)] = path.read_bytes()
        return files

    def policies_mark(self) -> TreeMark:
        """A mark of the policy tree: while it is the same and `settled`, so is every byte of it."""
        return mark_of(path for name in self.spec.policies for path in _yaml_files(self.folder / name))

    def check(self) -> tuple[Policy | None, tuple[Problem, ...]]:
        """The policy and everything that is wrong with it, its bindings held against this workspace's targets too."""
        return self._checked(self.policy_files())

    def _checked(self, files: Mapping[str, bytes]) -> tuple[Policy | None, tuple[Problem, ...]]:
        policy, problems = check_policy(files, revision=self.repository().revision(), today=self.today())
        if policy is None:
            return None, problems
        found = [*problems, *self._binding_problems(policy)]
        failed = any(problem.severity == "error" for problem in found)
        return (None if failed else policy), tuple(sorted(found, key=lambda problem: (problem.place, problem.code)))

    def policy(self) -> Policy:
        """The policy. Raises `ProblemsFound` with every error."""
        return self._passing(self.policy_files())

    def _passing(self, files: Mapping[str, bytes]) -> Policy:
        policy, problems = self._checked(files)
        if policy is None:
            raise ProblemsFound("the policy does not pass", problems)
        return policy

    def repository(self) -> PolicyRepository:
        """Where the policies are kept."""
        return PolicyRepository([self.folder / name for name in self.spec.policies])

    def signing_key(self) -> Path:
        """Where the key is that checkpoints are signed with."""
        return self.folder / self.spec.signing_key

    def today(self) -> date:
        """Today in the workspace's timezone."""
        return datetime.now(self.zone).date()

    def _binding_problems(self, policy: Policy) -> Iterator[Problem]:
        targets: dict[str, Target | None] = {}
        for name in self.spec.targets:
            try:
                targets[name] = self._target(name)
            except SecretMissing as error:
                targets[name] = None
                place = error.place or self.place("targets", name)
                yield Problem("unchecked-target", f"{name}: {error.message}", place, error.remedy, "warning")
        for ref, entitlement in policy.entitlements.items():
            if ref.target not in targets:
                known = ", ".join(f"`{name}`" for name in sorted(targets)) or "none"
                text = f"there is no target `{ref.target}` in the workspace"
                yield Problem("unknown-target", text, entitlement.place, f"it has: {known}")
            elif (target := targets[ref.target]) is not None and (flaw := target.check_locator(entitlement.locator)):
                yield Problem("binding", f"{ref.target}: {flaw}", entitlement.place)
        for name, target in targets.items():
            if target is not None:
                yield from _containment(name, target, policy)

    @property
    def _references(self) -> References:
        return References(self.folder, self.node)

    # --- sources and targets ----------------------------------------------------------------------------------------

    def source(self, name: str) -> Source:
        """A configured source. Raises `WorkspaceError` where there is none of this name."""
        if name not in self.spec.sources:
            known = ", ".join(sorted(self.spec.sources)) or "none"
            raise WorkspaceError(f"there is no source `{name}` in {self.path}", remedy=f"it has: {known}")
        settings = dict(self.spec.sources[name])
        kind = self._kind(SOURCES, "sources", name, str(settings.pop("type")))
        resolved = self._references.resolved(settings, ("sources", name))
        made: Source = kind.load()(SourceContext(name, self.folder, self.place("sources", name), self.zone), resolved)
        return made

    def file_source(self, path: Path) -> Source:
        """A file in the canonical columns (CSV, an Excel workbook, JSON lines) as a source named after the file."""
        kind = self._kind(SOURCES, "sources", "", _format(path))
        context = SourceContext(path.name, Path.cwd(), Place(str(path)))
        made: Source = kind.load()(context, {"path": str(path), "feed": "full"})
        return made

    def _target(self, name: str) -> Target:
        settings = dict(self.spec.targets[name])
        for own in ("foreign", "orphans"):
            settings.pop(own, None)
        kind = self._kind(TARGETS, "targets", name, str(settings.pop("type")))
        resolved = self._references.resolved(settings, ("targets", name))
        made: Target = kind.load()(TargetContext(name, self.folder, self.place("targets", name)), resolved)
        return made

    def _kind(self, group: str, section: str, name: str, kind: str) -> EntryPoint:
        found = _installed(group)
        if kind in found:
            return found[kind]
        text = f"there is no adapter for `type: {kind}`"
        remedy = f"installed: {', '.join(sorted(found))}"
        raise WorkspaceError(text, place=find_place(self.node, section, name, "type"), remedy=remedy)

    def _choice(self, name: str, key: str, allowed: str) -> bool:
        """Whether a target says `key: allowed` rather than `key: report`, the default."""
        value = self.spec.targets[name].get(key, "report")
        if value not in ("report", allowed):
            text = f"`{key}` is `report` or `{allowed}`, not `{value}`"
            raise WorkspaceError(text, place=find_place(self.node, "targets", name, key), remedy="correct it")
        return bool(value == allowed)

    def webhook_secrets(self) -> dict[str, tuple[str, ...]]:
        """Webhook → the secrets that it signs with, what they refer to resolved. Raises `WorkspaceError`."""
        return {
            name: tuple(self._references.resolved(webhook.secret, ("service", "webhooks", name, "secret"), "secret"))
            for name, webhook in self.spec.service.webhooks.items()
        }

    def push_secrets(self) -> PushSecrets:
        """What a push is told by, with what it refers to resolved. Raises `WorkspaceError`."""
        upstream = self.spec.service.policy_repository
        told = upstream.push.model_dump() if upstream is not None else {}
        place = ("service", "policy_repository", "push")
        return PushSecrets(
            **{kind: self._references.resolved(own, (*place, kind), "secret") for kind, own in told.items()}
        )

    def notification_channel(self, name: str) -> Channel:
        """A channel with what its settings refer to resolved. Raises `WorkspaceError`, whose words repeat no secret."""
        channel = self.spec.notifications.channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self.spec.notifications.channels)) or "none"
            raise WorkspaceError(f"there is no channel `{name}` in {self.path}", remedy=f"it has: {known}")
        path = ("notifications", "channels", name)
        if channel.type in ROBOTS and not self._references.is_reference(channel.url):
            text = f"the `url` of channel `{name}` stands here in clear text: whoever knows it can write to the group"
            remedy = 'refer to it: url: "${env:NAME}" or "${file:PATH}"'
            raise WorkspaceError(text, place=self.place(*path, "url"), remedy=remedy)
        resolved = self._references.resolved(channel.model_dump(exclude_unset=True), path)
        return channel.model_copy(update=resolved)

    # --- who acts ---------------------------------------------------------------------------------------------------

    def actor(self, token: str = "") -> Actor:
        """Who is acting: whoever is logged in, or the owner of the token. Raises `TokenRefused`."""
        if not token:
            return Actor(login_name())
        found = token_behind(self.facts(create=False), token, now())
        return Actor(found.owner, found.acts, found.id, found.made_by)

    def operators(self, before: Operators | None = None) -> Operators:
        """Who may do what with this workspace; `before`, what this answered earlier, is so while the same text stands
        there. Raises `WorkspaceError` where its access policy cannot be read.
        """
        if not self.spec.operators:
            return Operators()
        path = self.folder / self.spec.operators
        try:
            text = path.read_text("utf-8")
            return before if before is not None and before.text == text else Operators(str(path), text)
        except (OSError, UnicodeDecodeError) as error:
            text = f"the access policy {path} cannot be read: {error}"
            raise WorkspaceError(text, place=self.place("operators"), remedy="correct `operators`") from None

    # --- everything together ----------------------------------------------------------------------------------------

    def has_store(self) -> bool:
        """Whether anything is on record yet."""
        return Store.exists(self._references.url(self.spec.store, self.place("store")), folder=self.folder)

    def facts(self, *, create: bool = True) -> Facts:
        """The record and what is known from it, without a look at policies or targets."""
        store = Store.open(
            self._references.url(self.spec.store, self.place("store")), folder=self.folder, create=create
        )
        return Facts(store, self.zone, [Journal()], work.told(store))

    def store_at(self, url: str) -> Store:
        """The store at this URL, made where there is none; what it refers to is resolved as in `store`. Raises
        `WorkspaceError` where a password stands in it, and `StoreError`.
        """
        return Store.open(self._references.url(url, Place("TO")), folder=self.folder)

    def supposed_population(
        self, folder: Path, people: str, evidence: Path | None, policy: Policy
    ) -> tuple[Population, tuple[Problem, ...]]:
        """The people that a configured source (or a CSV file in the canonical columns) names, with their evidence, as
        if they were on record; and the rows that could not be taken.

        Read by way of a record of their own under `folder`, which is for the caller to throw away.
        """
        facts, at = Facts(Store.open("sqlite:///supposed.db", folder=folder), self.zone), now()
        feed = self._supposed_feed(people, policy)
        guards = replace(policy.guards, exits=Limit(100, 10**9))  # there is no mass exit in what is only supposed
        taken = import_people(
            facts, feed, source="file", attributes=policy.attributes, guards=guards, now=at, actor=login_name()
        )
        if evidence is None:
            return facts.population(), taken.quarantined
        proofs = self.file_source(evidence).read(EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS)
        kinds = policy.evidence
        proven = import_evidence(facts, proofs, source="file", kinds=kinds, now=at, actor=login_name())
        return facts.population(), (*taken.quarantined, *proven.quarantined)

    def _supposed_feed(self, people: str, policy: Policy) -> Feed:
        columns = feed_columns(policy.attributes)
        if people in self.spec.sources:
            return self.source(people).read(columns, REQUIRED_COLUMNS)
        try:
            return self.file_source(Path(people)).read(columns, REQUIRED_COLUMNS)
        except SourceError as error:
            if not self.spec.sources:
                raise
            known = ", ".join(self.spec.sources)
            remedy = f"a file has our own columns; where HR's are mapped, name the source (it has: {known})"
            raise SourceError(error.message, place=error.place, remedy=remedy) from None

    def targets(
        self, policy: Policy, names: Sequence[str] | None = None, facts: Facts | None = None
    ) -> dict[str, ConfiguredTarget]:
        """The targets (all, or these), their settings checked and their secrets resolved, each knowing what is managed
        on it and, by the record, what once was; nothing is reached yet.
        """
        managed = _managed_beyond(policy, facts) if facts is not None else ()
        return {
            name: ConfiguredTarget(
                _knowing(name, self._target(name), policy, managed),
                revoke_foreign=self._choice(name, "foreign", "revoke"),
                disable_orphans=self._choice(name, "orphans", "disable"),
            )
            for name in self.spec.targets
            if names is None or name in names
        }

    def standing_policy(self, before: StandingPolicy | None = None) -> StandingPolicy:
        """The policy or, where it does not pass, the last one that a run was made under, beside what is wrong now.

        Facts are recorded, and leavers let out, under that one: a bad merge must not keep anybody in. Raises
        `ProblemsFound` where there is none. `before` is what this answered earlier: while the same files stand there,
        byte for byte, it is so still, and nothing is compiled again.
        """
        files = self.policy_files()
        if before is not None and before.tree == files:
            return before
        try:
            return StandingPolicy(self._passing(files), files, tree=files)
        except ProblemsFound as problems:
            recorded = recorded_policy(self.facts(create=False), Journal()) if self.has_store() else None
            if recorded is None:
                raise
            return StandingPolicy(recorded, {}, problems, tree=files)

    def wire(
        self,
        *,
        targets: Sequence[str] | None = None,
        standing: StandingPolicy | None = None,
        actor: Actor | None = None,
        facts: Facts | None = None,
    ) -> Wiring:
        """Everything, ready for a pass: a checked policy (read now, unless it is given), an open store (opened now,
        unless its `facts` are given), the targets (all, or these, made anew), for whoever acts (the login name, unless
        it is given).
        """
        actor = actor or self.actor()
        if standing is None:
            files = self.policy_files()
            standing = StandingPolicy(self._passing(files), files)
        facts = facts or self.facts()
        configured = self.targets(standing.policy, targets, facts)
        return Wiring(
            organization=self.spec.organization,
            policy=standing.policy,
            policy_files=standing.files,
            facts=facts,
            journal=Journal(),
            targets=configured,
            zone=self.zone,
            actor=actor.name,
            actor_names=actor.names,
            four_eyes=self.spec.four_eyes,
            policy_authors=self.repository().policy_authors,
            clock=now,
            lease=lambda: lease(facts.store),
        )


@cache
def _installed(group: str) -> Mapping[str, EntryPoint]:
    """What is installed does not change under a process that runs, and looking reads the files of every package."""
    return {point.name: point for point in entry_points(group=group)}


def _bound_on(name: str, policy: Policy) -> dict[str, Entitlement]:
    return {ref.key: each for ref, each in policy.entitlements.items() if ref.target == name}


def _containment(name: str, target: Target, policy: Policy) -> Iterator[Problem]:
    bound = _bound_on(name, policy)
    containers = target.containers([each.locator for each in bound.values()])
    yield from containment_problems(name, bound, containers, policy, cuts_off=target.describe().cuts_off)


def _managed_beyond(policy: Policy, facts: Facts) -> Sequence[EntitlementRef]:
    with facts.store.reading() as connection:
        return Journal().managed_beyond(connection, policy)


def _knowing(name: str, target: Target, policy: Policy, managed: Sequence[EntitlementRef]) -> Target:
    """What no policy names any more is nobody's else until it is retired: nothing comes into it from around."""
    bound = _bound_on(name, with_former(policy, managed))
    left = [ref.key for ref in managed if ref.target == name and ref.key not in bound and ref not in policy.retired]
    undeclared = [entitlement_locator(key) for key in left]
    cut_off = [each.locator for each in bound.values() if not each.inherit] + undeclared
    locators = [each.locator for each in bound.values()] + undeclared
    return target.knowing(locators, cut_off if target.describe().cuts_off else [])


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def login_name() -> str:
    """Who is acting: the account that this process runs under, never a word somebody typed."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


@contextmanager
def lease(store: Store) -> Iterator[None]:
    """One run at a time on one store. The lease ends with the process, however it ends."""
    with store.lease() as ours:
        if not ours:
            text = f"another run is in progress on {store.name}"
            raise RunInProgress(text, remedy="wait until it has finished; then plan again")
        yield


def _format(path: Path) -> str:
    """What a file of facts is, by its name, or by how it begins."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError:
        begins = b""
    # An archive, or the container of Excel's older format: whoever reads it says what is wrong with that one.
    return "xlsx" if begins in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") or suffix in (".xlsx", ".xlsm", ".xls") else "csv"


def _yaml_files(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where, name) for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")]
    return [path for path in sorted(found) if path.is_file()]
