"""One workspace: reads ``reconciler.yaml`` and the policy tree, and wires sources, targets and store.

The one place that knows adapters, and those only by entry point; the one place with a clock, an environment and a git.
What is read here is checked here: a wrong workspace stops before anything is written.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from reconciler.apply.journal import Journal
from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError
from reconciler.facts.evidence import EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS, import_evidence
from reconciler.facts.feed import REQUIRED_COLUMNS, feed_columns, import_people
from reconciler.facts.model import Population
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.passes.memory import recorded_policy
from reconciler.passes.operators import Actor, Operators
from reconciler.passes.tokens import token_behind
from reconciler.passes.wiring import ConfiguredTarget, Wiring
from reconciler.policy import check_policy
from reconciler.policy.clauses import read_clause
from reconciler.policy.model import Limit, Period, Policy
from reconciler.policy.nodes import Node, find, key_place
from reconciler.policy.periods import BadPeriod, parse_period
from reconciler.policy.report import Report
from reconciler.policy.yaml_tree import read_yaml
from reconciler.sources import Feed, Source, SourceContext, SourceError
from reconciler.targets import Target, TargetContext

TARGETS = "reconciler.targets"
SOURCES = "reconciler.sources"
ANCHORS = "reconciler/ledger"
"""Under which name the policy repository keeps checkpoints, as tags."""

_REFERENCE = re.compile(r"\$\{(?P<scheme>[a-z]+):(?P<name>[^}]+)\}")
_SECRET_KEYS = re.compile(r"password|passwd|secret|token(?!_url)|api[-_]?key|private[-_]?key|bearer", re.IGNORECASE)


_SECRET_IN_URL = re.compile(r"://[^/?#:@]*:[^@]+@|[?&](?:ssl)?password=[^&]", re.IGNORECASE)
"""A password between a URL's user and its host, or among its options, once references are taken out."""


class WorkspaceError(ReconcilerError):
    """The workspace cannot be used as it is."""

    code = "workspace"


class SecretMissing(WorkspaceError):
    """A reference to a secret (or to anything else that stands outside the workspace file) leads nowhere."""

    code = "secret-missing"


class AnchorRefused(WorkspaceError):
    """The policy repository cannot keep a checkpoint."""

    code = "anchor"


class RunInProgress(WorkspaceError):
    """Another run holds the workspace's lease."""

    code = "run-in-progress"


class Retention(BaseModel):
    """How long records of people are kept."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    after_exit: str

    @field_validator("after_exit")
    @classmethod
    def _is_period(cls, value: str) -> str:
        try:
            parse_period(value)
        except BadPeriod as error:
            raise PydanticCustomError("period", "{message}", _said(error.message, error.remedy)) from None
        return value


class WorkspaceFile(BaseModel):
    """The workspace file's format, ``reconciler.workspace/1``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["reconciler.workspace/1"]
    organization: str
    timezone: str
    policies: list[str]
    store: str = "sqlite:///state/reconciler.db"
    operators: str = ""
    four_eyes: bool = False
    retention: Retention | None = None
    signing_key: str = "state/checkpoint-key.pem"
    sources: dict[str, dict[str, Any]] = {}
    targets: dict[str, dict[str, Any]] = {}

    @field_validator("policies", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            remedy = "write an IANA name such as Asia/Shanghai"
            raise PydanticCustomError("timezone", "{message}", _said(f"`{value}` is no timezone", remedy)) from None
        return value

    @field_validator("targets", "sources")
    @classmethod
    def _typed(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, settings in value.items():
            if not isinstance(settings.get("type"), str):
                raise PydanticCustomError("missing", "{message}", _said(f"`{name}` has no `type`", "say what it is"))
        return value


def _said(message: str, remedy: str) -> dict[str, str]:
    return {"message": message, "remedy": remedy}


@dataclass(frozen=True, slots=True)
class StandingPolicy:
    """The policy that counts now, and the files it was read from. Where the tree does not pass, it is the last one that
    a run was made under (whose files are on record), and `problems` say what is wrong with the tree.
    """

    policy: Policy
    files: Mapping[str, bytes]
    problems: ProblemsFound | None = None


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
        return cls(path, *read)

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

    def check(self) -> tuple[Policy | None, tuple[Problem, ...]]:
        """The policy and everything that is wrong with it, its bindings held against this workspace's targets too."""
        return self._checked(self.policy_files())

    def _checked(self, files: Mapping[str, bytes]) -> tuple[Policy | None, tuple[Problem, ...]]:
        policy, problems = check_policy(files, revision=self.revision(), today=self.today())
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

    def revision(self) -> str:
        """What git calls the policy tree as it is now, with ``+changes`` where it is not committed; empty outside of
        git.
        """
        folder = self.folder / self.spec.policies[0]
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        if not commit:
            return ""
        folders = [str((self.folder / name).resolve()) for name in self.spec.policies]
        return f"{commit}+changes" if _git(folder, "status", "--porcelain", "--", *folders) else commit

    def policy_authors(self, since: str) -> frozenset[str]:
        """Who made the policy tree what it is, after that revision: the names, the addresses and their first halves, as
        git has them of authors and committers. Nobody outside of git.
        """
        folder, base = self.folder / self.spec.policies[0], since.partition("+")[0]
        folders = [str((self.folder / name).resolve()) for name in self.spec.policies]
        known = base and _git(folder, "cat-file", "-t", base) == "commit"
        span = [f"{base}..HEAD"] if known else ["-1"]
        told = _git(folder, "log", "--format=%an%n%ae%n%cn%n%ce", *span, "--", *folders)
        names = {line.strip() for line in told.splitlines() if line.strip()}
        return frozenset(names | {name.partition("@")[0] for name in names})

    def signing_key(self) -> Path:
        """Where the key is that checkpoints are signed with."""
        return self.folder / self.spec.signing_key

    def anchored(self) -> list[tuple[str, str]]:
        """The checkpoints in the policy repository: the name of each tag, and what it says. None outside of git."""
        told = _git(
            self.folder / self.spec.policies[0],
            "for-each-ref",
            "--format=%(refname:short)%00%(contents:subject)",
            f"refs/tags/{ANCHORS}",
        )
        return [(name, text) for name, _, text in (line.partition("\0") for line in told.splitlines()) if text]

    def anchor(self, name: str, text: str) -> str:
        """Keep a text of one line as an annotated tag of the policy repository's newest commit: what it is called.
        Raises `AnchorRefused` where there is no repository or no commit, or git says no.
        """
        folder, tag = self.folder / self.spec.policies[0], f"{ANCHORS}/{name}"
        if not _git(folder, "rev-parse", "--verify", "HEAD"):
            said = "the policies are in no git repository that has a commit"
            raise AnchorRefused(said, remedy="commit them, or keep the checkpoint in a file: --out FILE")
        identity = ("-c", "user.name=reconciler", "-c", "user.email=reconciler@localhost", "-c", "tag.gpgSign=false")
        _git(folder, *identity, "tag", "--annotate", "--no-sign", "--cleanup=verbatim", "--message", text, tag)
        if dict(self.anchored()).get(tag) != text:
            raise AnchorRefused(
                f"git did not take the tag {tag}", remedy="see who may write to the repository; or --out FILE"
            )
        return f"the tag {tag}"

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

    # --- sources and targets ----------------------------------------------------------------------------------------

    def source(self, name: str) -> Source:
        """A configured source. Raises `WorkspaceError` where there is none of this name."""
        if name not in self.spec.sources:
            known = ", ".join(sorted(self.spec.sources)) or "none"
            raise WorkspaceError(f"there is no source `{name}` in {self.path}", remedy=f"it has: {known}")
        settings = dict(self.spec.sources[name])
        kind = self._kind(SOURCES, "sources", name, str(settings.pop("type")))
        resolved = self._resolve(settings, ("sources", name))
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
        resolved = self._resolve(settings, ("targets", name))
        made: Target = kind.load()(TargetContext(name, self.folder, self.place("targets", name)), resolved)
        return made

    def _kind(self, group: str, section: str, name: str, kind: str) -> EntryPoint:
        found = {point.name: point for point in entry_points(group=group)}
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

    def _resolve(self, value: Any, path: tuple[str | int, ...], key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: self._resolve(inner, (*path, name), str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._resolve(inner, (*path, index), key) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        place = find_place(self.node, *path)
        if _SECRET_KEYS.search(key) and not _REFERENCE.fullmatch(value):
            text = f"`{key}` stands here in clear text, and many can read this file"
            raise WorkspaceError(text, place=place, remedy=f'refer to it: {key}: "${{env:NAME}}" or "${{file:PATH}}"')
        return _REFERENCE.sub(lambda found: self._referenced(found["scheme"], found["name"], place), value)

    def _referenced(self, scheme: str, name: str, place: Place) -> str:
        if scheme == "env":
            if name in os.environ:
                return os.environ[name]
            raise SecretMissing(f"the environment has no {name}", place=place, remedy=f"set it: export {name}=…")
        if scheme == "file":
            return self._secret_file(name, place)
        if scheme == "keyring":
            return _from_keyring(name, place)
        raise WorkspaceError(f"`${{{scheme}:…}}` is no reference", place=place, remedy="use env, file or keyring")

    def _secret_file(self, name: str, place: Place) -> str:
        path = self.folder / name
        try:
            mode, text = path.stat().st_mode, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretMissing(f"the secret file {name} cannot be read: {error}", place=place) from None
        if mode & 0o077:
            text = f"others than its owner can use the secret file {name} (mode {mode & 0o777:04o})"
            raise WorkspaceError(text, place=place, remedy=f"chmod 600 {name}")
        return text.rstrip("\r\n")

    # --- who acts ---------------------------------------------------------------------------------------------------

    def actor(self, token: str = "") -> Actor:
        """Who is acting: whoever is logged in, or the owner of the token. Raises `TokenRefused`."""
        if not token:
            return Actor(login_name())
        found = token_behind(self.facts(create=False), token, now())
        return Actor(found.owner, found.acts, found.id, found.made_by)

    def operators(self) -> Operators:
        """Who may do what with this workspace. Raises `WorkspaceError` where its access policy cannot be read."""
        if not self.spec.operators:
            return Operators()
        path = self.folder / self.spec.operators
        try:
            return Operators(str(path), path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            text = f"the access policy {path} cannot be read: {error}"
            raise WorkspaceError(text, place=self.place("operators"), remedy="correct `operators`") from None

    # --- everything together ----------------------------------------------------------------------------------------

    def has_store(self) -> bool:
        """Whether anything is on record yet."""
        return Store.exists(self._store_url(), folder=self.folder)

    def facts(self, *, create: bool = True) -> Facts:
        """The record and what is known from it, without a look at policies or targets."""
        store = Store.open(self._store_url(), folder=self.folder, create=create)
        return Facts(store, self.zone, [Journal()])

    def _store_url(self) -> str:
        """`store` with what it refers to, escaped so that any password may stand in a URL."""
        url, place = self.spec.store, self.place("store")
        whole = _REFERENCE.fullmatch(url)
        if whole is not None:
            return self._referenced(whole["scheme"], whole["name"], place)
        if _SECRET_IN_URL.search(_REFERENCE.sub("", url)):
            text = "`store` holds a password in clear text, and many can read this file"
            remedy = 'refer to it: store: "postgresql://reconciler:${env:STORE_PASSWORD}@db.example.com/reconciler"'
            raise WorkspaceError(text, place=place, remedy=remedy)
        return _REFERENCE.sub(lambda found: quote(self._referenced(found["scheme"], found["name"], place), ""), url)

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

    def targets(self, names: Sequence[str] | None = None) -> dict[str, ConfiguredTarget]:
        """The targets (all, or these), their settings checked and their secrets resolved; nothing is reached yet."""
        return {
            name: ConfiguredTarget(
                self._target(name),
                revoke_foreign=self._choice(name, "foreign", "revoke"),
                disable_orphans=self._choice(name, "orphans", "disable"),
            )
            for name in self.spec.targets
            if names is None or name in names
        }

    def standing_policy(self) -> StandingPolicy:
        """The policy or, where it does not pass, the last one that a run was made under, beside what is wrong now.

        Facts are recorded, and leavers let out, under that one: a bad merge must not keep anybody in. Raises
        `ProblemsFound` where there is none.
        """
        files = self.policy_files()
        try:
            return StandingPolicy(self._passing(files), files)
        except ProblemsFound as problems:
            recorded = recorded_policy(self.facts(create=False), Journal()) if self.has_store() else None
            if recorded is None:
                raise
            return StandingPolicy(recorded, {}, problems)

    def wire(
        self,
        *,
        targets: Sequence[str] | None = None,
        standing: StandingPolicy | None = None,
        actor: Actor | None = None,
    ) -> Wiring:
        """Everything, ready for a pass: a checked policy (read now, unless it is given), an open store, the targets
        (all, or these), for whoever acts (the login name, unless it is given).
        """
        actor = actor or self.actor()
        if standing is None:
            files = self.policy_files()
            standing = StandingPolicy(self._passing(files), files)
        configured = self.targets(targets)
        facts = self.facts()
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
            policy_authors=self.policy_authors,
            clock=now,
            lease=lambda: lease(facts.store),
        )


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


def find_place(node: Node, *path: str | int) -> Place:
    """Where the value at this path stands in the workspace file."""
    return find(node, path).place


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
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".yaml", ".yml") and path.is_file()]
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # fixed words and paths of ours, no shell
            ["git", "-C", str(folder), *arguments],  # noqa: S607  # git is where the PATH says
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def repository_root(folder: Path) -> Path:
    """The top of the git working tree that the folder lies in; outside of git, the current directory."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else Path.cwd()


def _from_keyring(name: str, place: Place) -> str:
    try:
        import keyring  # type: ignore[import-not-found]  # optional: only who refers to it needs it
    except ImportError:
        text = "this system's keyring cannot be asked: the Python package `keyring` is not installed"
        raise SecretMissing(text, place=place, remedy="install it, or use ${env:…} or ${file:…}") from None
    service, _, user = name.partition("/")
    secret = keyring.get_password(service, user)
    if secret is None:
        raise SecretMissing(f"the keyring has no secret {name}", place=place, remedy=f"keyring set {service} {user}")
    return str(secret)
