"""The target contract on a casbin policy store.

Every person has an account here, namely their id as a casbin subject: nothing has to exist before a grant, and there is
nothing to create, disable or delete. `{role: R}` is given by the line ``g, SUBJECT, R``; `{object: O, action: A}` by
the line ``p, SUBJECT, O, A``. The lines that give a role its power are the document system's own and stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from adapters.casbin.file_store import FileStore
from adapters.casbin.model import VaultModel, read_model
from adapters.casbin.reading import observation
from adapters.casbin.rules import edits_for, locator_error
from adapters.casbin.sql_store import SqlStore, checked_url
from adapters.casbin.store import Store
from adapters.marks import mark_of
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Op,
    Outcome,
    OutcomeKind,
    Place,
    Problem,
    ProblemsFound,
    Step,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetUnavailable,
    TargetWriter,
)

DEFAULT_TABLE = "casbin_rule"


class CasbinTarget(Target):
    """Settings: `model`, the model file; `policy`, the CSV file, or ``{url: …, table: casbin_rule}``."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        problems = _Problems(context)
        problems.check_keys(settings, "", {"model", "policy"})
        self._model_path = problems.path(settings, "model")
        self._store = problems.store(settings.get("policy"))
        problems.raise_any()

    def describe(self) -> Capabilities:
        return Capabilities(ops=frozenset({Op.GRANT, Op.REVOKE}), batch_size=5000, implicit_accounts=True)

    def check_locator(self, locator: Locator) -> str | None:
        return locator_error(locator)

    def match_attributes(self) -> Sequence[str]:
        return ("id",)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        at = datetime.now(UTC)
        model = self._model()
        return observation(self._store.read(model), model, locators, accounts, at)

    def mark(self, since: str = "") -> str:
        """By all that stands in the file; blank for a table."""
        content = self._store.mark()
        return mark_of(self._model_path.read_bytes(), content) if content else ""

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        model = self._model()
        self._store.reach()
        yield CasbinWriter(self._store, model)

    def probe(self) -> Sequence[TargetFinding]:
        observed = self.observe(())
        weak = [TargetFinding("insecure-store", "policy", text) for text in self._store.weaknesses()]
        return [*weak, *observed.findings]

    def _model(self) -> VaultModel:
        place = Place(str(self._model_path))
        try:
            text = self._model_path.read_text(encoding="utf-8")
        except OSError as error:
            remedy = "name the model file that the enforcer loads"
            raise TargetError(
                f"the casbin model cannot be read: {error.strerror}", place=place, remedy=remedy
            ) from None
        except UnicodeDecodeError:
            raise TargetError("the casbin model is not UTF-8", place=place) from None
        return read_model(text, place)


class CasbinWriter(TargetWriter):
    """Carries out a batch in one rewrite of the file, or in one transaction."""

    def __init__(self, store: Store, model: VaultModel) -> None:
        self._store = store
        self._model = model

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        try:
            edits = self._store.change(self._model, lambda rules: edits_for(rules, steps, self._model))
        except TargetUnavailable as error:
            return [Outcome(OutcomeKind.UNAVAILABLE, error.message)] * len(steps)
        except TargetError as error:
            return [Outcome(OutcomeKind.REFUSED, error.message)] * len(steps)
        return edits.outcomes


class _Problems:
    """Collects all that is wrong with the settings; values never appear, one of them may be a password."""

    def __init__(self, context: TargetContext) -> None:
        self._context = context
        self._found: list[Problem] = []

    def note(self, message: str, remedy: str = "") -> None:
        self._found.append(
            Problem("target-settings", f"target {self._context.name}: {message}", self._context.place, remedy)
        )

    def raise_any(self) -> None:
        if self._found:
            raise ProblemsFound(f"target {self._context.name}", self._found)

    def check_keys(self, settings: Mapping[str, object], prefix: str, known: Collection[str]) -> None:
        for key in sorted({str(key) for key in settings} - set(known)):
            near = get_close_matches(key, known, n=1)
            remedy = f"did you mean `{near[0]}`?" if near else f"possible here: {', '.join(sorted(known))}"
            self.note(f"`{prefix}{key}` is not a setting", remedy)

    def text(self, settings: Mapping[str, object], key: str, prefix: str = "") -> str:
        value = settings.get(key)
        if isinstance(value, str) and value.strip():
            return value
        said = "is missing" if value is None else "is not a text"
        self.note(f"`{prefix}{key}` {said}", "add it to the target's settings")
        return ""

    def path(self, settings: Mapping[str, object], key: str) -> Path:
        return self._context.folder / self.text(settings, key)

    def store(self, policy: object) -> Store:
        if not isinstance(policy, Mapping):
            if isinstance(policy, str) and "://" in policy:
                self.note("`policy` is a path", "for a database write `policy: {url: …, table: casbin_rule}`")
            return FileStore(self.path({"policy": policy}, "policy"))
        self.check_keys(policy, "policy.", {"url", "table"})
        table = self.text({"table": DEFAULT_TABLE, **policy}, "table", "policy.")
        url = self.text(policy, "url", "policy.")
        try:
            return SqlStore(checked_url(url or "sqlite:///missing", self._context.folder), table or DEFAULT_TABLE)
        except ValueError as error:
            self.note(f"`policy.url` {error}")
            return FileStore(self._context.folder)
