"""Requests, compared with the LDAP library's own encoder, and hostile values in filters and names."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3 import BASE, DEREF_NEVER, MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, SUBTREE
from ldap3.operation.delete import delete_operation
from ldap3.operation.modify import modify_operation
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc2696 import paged_search_control
from ldap3.protocol.rfc4511 import Controls, LDAPMessage, MessageID, ProtocolOp
from pyasn1.codec.ber import encoder

from adapters.directory.entries import Edit, Modification
from adapters.ldap import requests
from adapters.ldap.requests import Scope, all_of, any_of, any_value, equal
from adapters.ldap.session import encoded_filter, filter_flaw, said

ATTRIBUTE = st.sampled_from(["cn", "member", "entryUUID", "employeeType;lang-zh"])
VALUE = st.binary(max_size=300) | st.text(max_size=80).map(str.encode)
NAME = st.sampled_from(["", "dc=example,dc=com", "cn=张伟\\2C x+uid=a,dc=example", "uid=" + "x" * 200])
EDITS = {Edit.ADD: MODIFY_ADD, Edit.DELETE: MODIFY_DELETE, Edit.REPLACE: MODIFY_REPLACE}


def hexed(value: bytes) -> str:
    """A value in a filter with every octet escaped: the library strips what it takes for padding."""
    return "".join(f"\\{octet:02x}" for octet in value)


def by_the_library(number: int, kind: str, operation: Any, control: Any = None) -> bytes:
    whole = LDAPMessage()
    whole["messageID"] = MessageID(number)
    whole["protocolOp"] = ProtocolOp().setComponentByName(kind, operation)
    if control is not None:
        controls = Controls()
        controls[0] = control
        whole["controls"] = controls
    return bytes(encoder.encode(whole))


@given(ATTRIBUTE, VALUE)
def test_a_value_in_a_filter_is_that_value_whatever_is_in_it(attribute: str, value: bytes) -> None:
    assert equal(attribute, value) == encoded_filter(f"({attribute}={hexed(value)})")


@given(st.lists(st.tuples(ATTRIBUTE, st.text(min_size=1, max_size=20)), min_size=2, max_size=4))
def test_filters_are_put_together_as_the_library_does_it(pairs: list[tuple[str, str]]) -> None:
    parts = [equal(*pair) for pair in pairs]
    text = "".join(f"({attribute}={hexed(value.encode())})" for attribute, value in pairs)

    assert all_of(*parts) == encoded_filter(f"(&{text})")
    assert any_of(parts) == encoded_filter(f"(|{text})")
    assert all_of(any_value("cn"), *parts) == encoded_filter(f"(&(cn=*){text})")


@given(
    st.integers(1, 2**31 - 1), NAME, st.sampled_from(Scope), st.lists(ATTRIBUTE, max_size=3), st.binary(max_size=200)
)
def test_a_page_is_asked_for_as_the_library_does_it(
    number: int, base: str, scope: Scope, attributes: list[str], cookie: bytes
) -> None:
    ours = requests.message(
        number, requests.search(base, scope, equal("cn", "a*"), attributes), requests.page(1000, cookie)
    )
    reach = {Scope.BASE: BASE, Scope.SUBTREE: SUBTREE}[scope]
    theirs = search_operation(base, "(cn=a\\2a)", reach, DEREF_NEVER, attributes, 0, 0, False, False, False)

    expected = by_the_library(number, "searchRequest", theirs, paged_search_control(True, 1000, cookie))
    # The library spells TRUE as 1; in LDAP it is 255 (RFC 4511, section 5.1).
    assert ours == expected.replace(b".319\x01\x01\x01", b".319\x01\x01\xff")


@given(NAME, st.dictionaries(ATTRIBUTE, st.tuples(st.sampled_from(Edit), st.lists(VALUE, min_size=1, max_size=3))))
def test_a_modification_is_sent_as_the_library_does_it(dn: str, parts: dict[str, tuple[Edit, list[bytes]]]) -> None:
    ours = requests.modification(dn, [Modification(name, edit, values) for name, (edit, values) in parts.items()])
    changes = {name: [(EDITS[edit], values)] for name, (edit, values) in parts.items()}
    theirs = modify_operation(dn, changes, False)
    deletion: Any = cast(Any, delete_operation)(dn)

    if parts:
        assert requests.message(7, ours) == by_the_library(7, "modifyRequest", theirs)
    assert requests.message(7, requests.deletion(dn)) == by_the_library(7, "delRequest", deletion)


@pytest.mark.parametrize("text", ["", "cn=a", "(cn=a", "(&(cn=a)", "((cn=a))x"])
def test_what_is_no_filter_is_said_to_be_none(text: str) -> None:
    assert filter_flaw(text)
    with pytest.raises(ValueError, match=r"."):
        encoded_filter(text)


def test_a_filter_that_somebody_wrote_is_taken() -> None:
    assert filter_flaw("(&(objectClass=inetOrgPerson)(!(employeeType=bot))(mail=*@example.com)(uid>=a))") == ""


def test_the_words_of_a_server_end_without_a_line_of_their_own() -> None:
    """As those of Active Directory end with one."""
    assert said(50, "00002098: no right\n") == "insufficientAccessRights: 00002098: no right"
    assert said(50, "\n") == "insufficientAccessRights"
