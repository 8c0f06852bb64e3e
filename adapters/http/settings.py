"""What may be declared of a REST system, and what is refused because it could not be safe.

Values never appear in a message, and secrets not even in a representation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adapters.api.settings import ApiSettings, Pages, Text, check_header, secrets_of
from adapters.checking import PersonAttribute, Strict, checked
from adapters.http.queries import At, Query, Where
from adapters.http.templates import EACH, BodyTemplate, PathTemplate, TextTemplate
from reconciler.targets import Op, OutcomeKind, TargetContext

__all__ = [
    "Accounts",
    "Entitlements",
    "HttpSettings",
    "Listing",
    "Members",
    "Single",
    "Write",
    "hidden",
    "http_settings",
    "is_secret",
]

Status = Annotated[int, Field(ge=200, le=599)]
Statuses = Mapping[Literal["applied", "already", "stale", "refused", "unavailable"], Sequence[Status]]
Principal = Literal["key", "name", "login"]
_OWN = ("key", "name", "login")
"""What every account has; `fields` add to it."""
_SECRET_NAME = re.compile(r"passw|secret|token|authorization|api.?key|credential|cookie|private.?key", re.IGNORECASE)
_PART = r"^[a-z][a-z0-9_]*$"
Part = Annotated[str, Field(pattern=_PART)]


class Listed(Pages[At]):
    """`next_may_be_absent`: the last page leaves `next` out, so that a mistake in it would pass for the last page."""

    next_may_be_absent: bool = False


class Endpoint(Strict):
    """Something to ask. `safe`: a POST that changes nothing, as some systems have it for searching."""

    method: Literal["GET", "POST"] = "GET"
    path: PathTemplate
    query: Mapping[str, TextTemplate] = Field(default_factory=dict, repr=False)
    body: BodyTemplate | None = Field(default=None, repr=False)
    safe: bool = False

    @model_validator(mode="after")
    def _only_reads(self) -> Self:
        if self.method == "POST" and not self.safe:
            raise ValueError("a POST may change something: say `safe: true` if this one only searches")
        if self.method == "GET" and (self.safe or self.body):
            raise ValueError("`safe` and `body` mean nothing with GET")
        return self

    @property
    def names(self) -> Iterator[str]:
        """The values that it needs."""
        yield from self.path.names
        for each in self.query.values():
            yield from each.names
        if self.body:
            yield from self.body.names


class Listing(Endpoint):
    """A list over all its pages. `items` leads to the list in a page; `may_be_empty`: without a total, an empty list
    is believed.
    """

    items: At
    pages: Listed = Listed()
    may_be_empty: bool = False

    @model_validator(mode="after")
    def _stays(self) -> Self:
        check_list(self.items)
        if self.method == "POST" and self.pages.by == "link":
            raise ValueError("a POST leads on by page, offset or cursor: `by: link` goes with GET")
        return self


class Single(Endpoint):
    """One thing by itself; `item` leads to it in the answer."""

    item: At | None = None


class Enabled(Strict):
    """An account is enabled where `at` is `when`; `absent` says what it is where there is nothing."""

    at: At
    when: Text = "true"
    absent: bool | None = None


class Accounts(Strict):
    """The accounts, and where in each of them its parts stand. `where`: what must hold of an item for it to be one.
    `one`: the same of one account, by its key; `find`: a list of those of one person.
    """

    list: Listing
    where: Where | None = None
    key: At
    name: At
    login: At | None = None
    match: Mapping[At, PersonAttribute] = Field(min_length=1)
    enabled: Enabled | None = None
    fields: Mapping[Part, At] = Field(default_factory=dict)
    one: Single | None = None
    find: Listing | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.match.values())) < len(self.match):
            raise ValueError("`match` names an attribute of people twice")
        if taken := sorted(set(self.fields) & set(_OWN)):
            raise ValueError(f"`fields` cannot be called {', '.join(taken)}: every account has one")
        check_names(self.list.names, (), "list")
        if self.one:
            check_names(self.one.names, ("account.key",), "one")
        if self.find:
            check_names(self.find.names, [f"person.{attribute}" for attribute in self.match.values()], "find")
            if not list(self.find.names):
                raise ValueError("`find` names nothing of a person: it would find the same for every one")
        return self


class Members(Strict):
    """Who is in an entitlement: a list of its own (`list`), or one in the entitlement's item (`items`).

    `at` is where in each member its account's `are` stands. `total` is where the item says how many there are.
    `absent: empty`: where there is no list, there is nobody. `nested`: which members are entitlements themselves, and
    named by their `id`.
    """

    list: Listing | None = None
    items: At | None = None
    total: At | None = None
    absent: Literal["empty"] | None = None
    at: At
    are: Principal = "key"
    ignore_case: bool = False
    nested: Where | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.list is None) is (self.items is None):
            raise ValueError("give `list`, for a list of its own, or `items`, for one in the entitlement's item")
        if self.items:
            check_list(self.items)
        if self.list and (self.absent or self.total):
            raise ValueError("`absent` and `total` belong to `items`; a list of its own has `pages.total`")
        return self


class Entitlements(Strict):
    """What a policy can name. `locator`: its parts, and where they stand in each item of the list; `parts`: their names
    alone, where there is no list of entitlements. `id`: what the system itself calls it. `one`: the same of one
    entitlement.
    """

    list: Listing | None = None
    locator: Mapping[Part, At] = Field(default_factory=dict)
    parts: Sequence[Part] = ()
    id: At | None = None
    one: Single | None = None
    members: Members

    @property
    def named_by(self) -> Sequence[str]:
        """The parts of a locator."""
        return (*self.locator, *self.parts)

    @property
    def known(self) -> frozenset[str]:
        """What a template may say of an entitlement."""
        own = {f"entitlement.{part}" for part in self.named_by}
        return frozenset(own | ({"entitlement.id"} if self.id else set()))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "id" in self.named_by:
            raise ValueError("a part cannot be called id: that is what the system itself calls an entitlement")
        if self.list is None and (self.locator or self.id or self.one or not self.parts):
            raise ValueError("without `list` there are `parts`, e.g. [group], and no `locator`, `id` and `one`")
        if self.list is None and self.members.list is None:
            raise ValueError("give the list of entitlements (`list`), or of each one's members (`members.list`)")
        if self.list is not None:
            if self.parts or not self.locator:
                raise ValueError("with `list`, `locator` says where each part stands, e.g. {group: $.name}")
            check_names(self.list.names, (), "list")
        if self.members.nested and self.id is None:
            raise ValueError("`members.nested` needs `id`: what an entitlement is called where it is a member")
        if self.members.list:
            check_names(self.members.list.names, self.known, "members.list")
        if self.one:
            check_names(self.one.names, self.known, "one")
        return self


class Write(Strict):
    """How something is changed. `many`: so many accounts at once, by `for_each_account` in the body. `idempotency`: the
    header with a key that makes it safe to send the same again.
    """

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: PathTemplate
    query: Mapping[str, TextTemplate] = Field(default_factory=dict, repr=False)
    body: BodyTemplate | None = Field(default=None, repr=False)
    many: Annotated[int, Field(ge=1, le=10_000)] | None = None
    statuses: Statuses = Field(default_factory=dict)
    idempotency: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None

    @property
    def names(self) -> Iterator[str]:
        """The values that it needs."""
        yield from self.names_outside
        if self.body:
            yield from self.body.names_for_each

    @property
    def names_outside(self) -> Iterator[str]:
        """Those that it needs once for the whole request."""
        yield from self.path.names
        for each in self.query.values():
            yield from each.names
        if self.body:
            yield from self.body.names_outside

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        inside = list(self.body.names_for_each) if self.body else []
        if self.many is None and inside:
            raise ValueError(f"`{EACH}` needs `many`: how many accounts one request may name")
        if self.many is not None and not inside:
            raise ValueError(f"`many` needs `{EACH}` in the body: where the accounts stand")
        if self.many is not None and any(name.startswith("account.") for name in self.names_outside):
            raise ValueError(f"with `many`, accounts are named within `{EACH}` only")
        if self.idempotency:
            check_header(self.idempotency)
        listed = [status for each in self.statuses.values() for status in each]
        if len(set(listed)) < len(listed):
            raise ValueError("`statuses` names a status twice")
        return self

    def meaning(self, status: int) -> OutcomeKind:
        """What a status means."""
        for kind, statuses in self.statuses.items():
            if status in statuses:
                return OutcomeKind(kind)
        return _MEANINGS.get(status, OutcomeKind.APPLIED if status < 300 else OutcomeKind.REFUSED)


_MEANINGS = {404: OutcomeKind.STALE, 410: OutcomeKind.STALE, 412: OutcomeKind.STALE}
_ACCOUNT_OPS = {
    "disable": Op.DISABLE_ACCOUNT,
    "enable": Op.ENABLE_ACCOUNT,
    "delete": Op.DELETE_ACCOUNT,
    "end_sessions": Op.END_SESSIONS,
}


class HttpSettings(ApiSettings):
    """All that is declared of a REST system; times in seconds once they are read."""

    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+$")] = "application/json"
    success: Mapping[At, Text] = Field(default_factory=dict)
    accounts: Accounts
    entitlements: Entitlements
    add: Write | None = None
    remove: Write | None = None
    disable: Write | None = None
    enable: Write | None = None
    delete: Write | None = None
    end_sessions: Write | None = None
    read_back: bool = True
    encoded_slash: bool = False
    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    own: str | None = None
    conversation: Annotated[str, Field(min_length=1)] | None = None
    dry: bool = False

    @property
    def writes(self) -> Mapping[Op, Write]:
        """What can be done, and how."""
        declared = {Op.GRANT: self.add, Op.REVOKE: self.remove} | {
            op: getattr(self, name) for name, op in _ACCOUNT_OPS.items()
        }
        return {op: write for op, write in declared.items() if write is not None}

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Everything that is asked without changing anything."""
        lists = (self.accounts.list, self.accounts.find, self.entitlements.list, self.entitlements.members.list)
        return [each for each in (*lists, self.accounts.one, self.entitlements.one) if each]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {f"account.{name}" for name in (*_OWN, *self.accounts.fields)}
        for op, write in self.writes.items():
            name = {Op.GRANT: "add", Op.REVOKE: "remove"}.get(op) or op.split("-", maxsplit=1)[0]
            of_entitlement = op in (Op.GRANT, Op.REVOKE)
            check_names(write.names, known | (self.entitlements.known if of_entitlement else set()), name)
            needed = ("account", "entitlement") if of_entitlement else ("account",)
            for each in needed:
                if not any(used.startswith(f"{each}.") for used in write.names):
                    raise ValueError(f"`{name}` names no {each}: it would do the same to every one")
            if write.many and not of_entitlement:
                raise ValueError(f"`{name}`: `many` is for `add` and `remove`")
            for read in self.endpoints:
                if (read.method, read.path.pattern()) == (write.method, write.path.pattern()):
                    raise ValueError(f"`{name}` and a list that is `safe` cannot be the same request")
        if (self.disable or self.enable) and self.accounts.enabled is None:
            raise ValueError("`disable` and `enable` need `accounts.enabled`: where it says whether an account is")
        if self.dry and self.conversation is None:
            raise ValueError("`dry` needs `conversation`: the file in which to see what would have been sent")
        return self


def hidden(settings: HttpSettings) -> list[str]:
    """What must never be quoted or recorded: the secrets of the connection, and what requests carry under the name of
    one.
    """
    found = secrets_of(settings)
    requests: Sequence[Endpoint | Write] = (*settings.endpoints, *settings.writes.values())
    for each in requests:
        fixed = [(name, text.within({})) for name, text in each.query.items() if not list(text.names)]
        found += [text for name, text in (*fixed, *(each.body.fixed if each.body else ())) if is_secret(name)]
    return found


def is_secret(name: str) -> bool:
    """Whether what is called so is nobody's business: as the workspace file has it, and a little more."""
    return _SECRET_NAME.search(name) is not None


def check_names(names: Iterator[str], known: Collection[str], what: str) -> None:
    """Raises `ValueError` for a placeholder that has no value here."""
    there = sorted(known)
    for name in names:
        if name not in there:
            possible = ", ".join(f"{{{each}}}" for each in there) or "none"
            raise ValueError(f"`{what}`: `{{{name}}}` is not known here; possible: {possible}")


def check_list(query: Query) -> None:
    """Raises `ValueError` for a query that leads to the items of a list and not to the list itself."""
    for end in ("[*]", ".*"):
        if query.text.endswith(end):
            raise ValueError(f"`items` leads to the list itself, not into it: write {query.text.removesuffix(end)}")


def http_settings(settings: Mapping[str, object], context: TargetContext) -> HttpSettings:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    return checked(HttpSettings, settings, f"target {context.name}", "target-settings", context.place)
