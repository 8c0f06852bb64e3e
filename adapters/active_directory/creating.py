"""How an account is created in a domain: a template as any directory's, with what a domain demands beside it.

The initial password goes into the one request that creates the account, so that there is never an account without it,
and none at all where the domain's password policy refuses it. Without one a domain has no account that is enabled, so
it is created disabled. Sources: MS-SAMR 3.1.1.8.4 (sAMAccountName), MS-ADTS 3.1.1.3.1.5.1 (unicodePwd), 2.2.16
(userAccountControl), MS-ADA1 (cn: 64 characters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from adapters.checking import Strict
from adapters.directory import creating
from adapters.directory.creating import Create, filled_in
from adapters.directory.settings import DnText
from adapters.templates import Template, literal

__all__ = ["CONTROL", "Creation", "password", "problem_of", "template_of"]

CONTROL = "userAccountControl"
_LOGIN, _PRINCIPAL, _NAME, _LAST_SET = "sAMAccountName", "userPrincipalName", "cn", "pwdLastSet"
_ENABLED, _DISABLED = "512", "514"
_LONGEST = {_LOGIN: 20, _NAME: 64, _PRINCIPAL: 1024}
"""In characters of UTF-16. A domain may take a longer login, with which nobody can sign in at older systems."""
_NOT_IN_LOGIN = re.compile(r'["/\\\[\]:;|=,+*?<>@\x00-\x1f\x7f]')
_NOT_HERE = ("unicodePwd", "userPassword", CONTROL, _LAST_SET, "objectClass", "objectSid", "member", "memberOf")
_NOT_HERE_EITHER = ("primaryGroupID", "adminCount", "sIDHistory", "servicePrincipalName")


class Secret(creating.Secret):
    """As elsewhere; `change`: it has to be changed when somebody first signs in with it."""

    change: bool = True


class Creation(Strict):
    """A new account: its attributes, among them `cn` and `sAMAccountName`, and `under` which entry it stands."""

    attributes: Annotated[dict[str, Template], Field(min_length=1)]
    under: DnText | None = None
    secret: Secret | None = None

    def flaws(self) -> Iterator[str]:
        """What is wrong with the template whoever it is filled in for."""
        own = {attribute.lower(): text for attribute, text in self.attributes.items()}
        for needed in (_NAME, _LOGIN):
            if needed.lower() not in own:
                yield f"`accounts.create.attributes` has no `{needed}`, which every account has"
        for barred in (*_NOT_HERE, *_NOT_HERE_EITHER):
            if barred.lower() in own:
                yield f"`accounts.create.attributes` has {barred}, which is not for a template to set"
        for attribute in (_LOGIN, _NAME, _PRINCIPAL):
            if flaw := _flaw(attribute, literal(own.get(attribute.lower(), ""))):
                yield f"`accounts.create.attributes`: {flaw}"
        if _PRINCIPAL.lower() in own and "@" not in literal(own[_PRINCIPAL.lower()]):
            yield f"`accounts.create.attributes`: {_PRINCIPAL} is of the form NAME@DOMAIN, and has no @"


def template_of(creation: Creation) -> Create:
    """The template in full."""
    secret = creation.secret
    state = {CONTROL: _ENABLED if secret else _DISABLED}
    if secret and secret.change:
        state[_LAST_SET] = "0"
    attributes = {**creation.attributes, **state}
    return Create(rdn="CN", classes=["user"], attributes=attributes, under=creation.under, secret=secret)


def problem_of(create: Create, person: Mapping[str, str]) -> str | None:
    """Why a domain would not have the account of this person, without saying what it would be called."""
    values = {name.lower(): own[0].decode() for name, own in filled_in(create, "DC=x", person).attributes.items()}
    login = values[_LOGIN.lower()]
    for attribute in (_LOGIN, _NAME, _PRINCIPAL):
        if flaw := _flaw(attribute, values.get(attribute.lower(), "")):
            return flaw
    if not login.strip(" ."):
        return f"their {_LOGIN} would be nothing but dots"
    if login.endswith((".", "$")):
        return f"their {_LOGIN} would end with {login[-1]!r}, which only other names do"
    if (principal := values.get(_PRINCIPAL.lower())) is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", principal):
        return f"their {_PRINCIPAL} would not be of the form NAME@DOMAIN"
    return None


def password(secret: str) -> bytes:
    """A password as `unicodePwd` takes it: in quotes, in UTF-16."""
    return f'"{secret}"'.encode("utf-16-le")


def _flaw(attribute: str, value: str) -> str:
    """Why a value, or a part of it, can be none of this attribute."""
    if len(value.encode("utf-16-le")) // 2 > _LONGEST[attribute]:
        return f"their {attribute} would be longer than {_LONGEST[attribute]} characters"
    if attribute == _LOGIN and (found := _NOT_IN_LOGIN.search(value)):
        return f"their {attribute} would have {found[0]!r} in it, which no login has"
    return ""
