"""The bulk reader of search answers, compared with the LDAP library's own encoder, and against damaged octets."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc2696 import RealSearchControlValue
from ldap3.protocol.rfc4511 import (
    URI,
    Attribute,
    Control,
    Controls,
    LDAPMessage,
    ProtocolOp,
    SearchResultDone,
    SearchResultEntry,
    SearchResultReference,
)
from pyasn1.codec.ber import encoder

from adapters.directory.entries import Entry
from adapters.ldap.ber import Done, Malformed, Reference, bounds, decode, ended, message_end
from adapters.ldap.bulk import Habits, decoded

ATTRIBUTES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}(;lang-zh)?", fullmatch=True),
    st.lists(st.binary(max_size=300), max_size=5),
    max_size=5,
)


def message(number: int, kind: str, content: Any, controls: Any = None) -> bytes:
    whole = LDAPMessage()
    whole["messageID"] = number
    whole["protocolOp"] = ProtocolOp().setComponentByName(kind, content)
    if controls is not None:
        whole["controls"] = controls
    return bytes(encoder.encode(whole))


def entry_message(number: int, dn: str, attributes: dict[str, list[bytes]]) -> bytes:
    entry = SearchResultEntry()
    entry["object"] = dn.encode()
    for place, (name, values) in enumerate(attributes.items()):
        attribute = Attribute()
        attribute["type"] = name
        for position, value in enumerate(values):
            attribute["vals"][position] = value
        if not values:
            attribute["vals"].clear()
        entry["attributes"][place] = attribute
    if not attributes:
        entry["attributes"].clear()
    return message(number, "searchResEntry", entry)


def done_message(number: int, code: int, words: str, cookie: bytes | None) -> bytes:
    done = SearchResultDone()
    done["resultCode"] = code
    done["matchedDN"] = b"dc=example"
    done["diagnosticMessage"] = words.encode()
    if cookie is None:
        return message(number, "searchResDone", done)
    value = RealSearchControlValue()
    value["size"] = 700
    value["cookie"] = cookie
    control = Control()
    control["controlType"] = b"1.2.840.113556.1.4.319"
    control["criticality"] = True
    control["controlValue"] = encoder.encode(value)
    controls = Controls()
    controls[0] = control
    return message(number, "searchResDone", done, controls)


@given(st.integers(1, 2**31 - 1), st.text(max_size=200), ATTRIBUTES)
def test_an_entry_is_read_as_it_was_sent(number: int, dn: str, attributes: dict[str, list[bytes]]) -> None:
    data = entry_message(number, dn, attributes)

    assert message_end(data, 0) == len(data)
    assert decode(data) == (number, Entry(dn, attributes))


@given(
    st.integers(1, 2**31 - 1),
    st.sampled_from([0, 4, 32, 50]),
    st.text(max_size=40),
    st.none() | st.binary(max_size=200),
)
def test_the_end_of_a_search_is_read_as_it_was_sent(number: int, code: int, words: str, cookie: bytes | None) -> None:
    assert decode(done_message(number, code, words, cookie)) == (
        number,
        Done(code, "dc=example", words, (), cookie or b""),
    )


def test_a_reference_is_read_as_it_was_sent() -> None:
    reference = SearchResultReference()
    reference[0] = URI("ldap://elsewhere/dc=example")

    assert decode(message(7, "searchResRef", reference)) == (7, Reference(("ldap://elsewhere/dc=example",)))


@given(ATTRIBUTES, st.data())
def test_a_message_that_has_not_arrived_whole_is_waited_for(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    whole = entry_message(3, "cn=a", attributes)
    some = whole[: data.draw(st.integers(0, len(whole) - 1))]

    assert message_end(some, 0) in (-1, len(whole))


@given(ATTRIBUTES, st.data())
def test_damaged_octets_are_an_error_or_another_message_and_never_a_crash(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    octets = bytearray(entry_message(3, "cn=a", attributes))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Malformed):
        decode(bytes(octets))


def test_what_is_no_ldap_is_refused_at_once() -> None:
    with pytest.raises(Malformed, match="0x48"):
        message_end(b"HTTP/1.1 400 Bad Request", 0)
    with pytest.raises(Malformed, match="definite length"):
        message_end(b"\x30\x80", 0)


ENTRIES = st.lists(
    st.tuples(st.sampled_from([1, 127, 128, 300, 70_000]), st.text(max_size=200), ATTRIBUTES), min_size=1, max_size=4
)


@given(ENTRIES, st.integers(0, 40))
def test_many_entries_are_read_as_one_by_one_and_what_is_not_there_whole_is_left(
    entries: list[tuple[int, str, dict[str, list[bytes]]]], cut: int
) -> None:
    messages = [entry_message(*each) for each in entries]
    octets = b"".join(messages)[: -cut or None]
    whole = [entry for entry, end in zip(entries, _ends(messages), strict=True) if end <= len(octets)]

    found = bounds(octets)
    mine, others = decoded(octets, found, {entries[0][0]}, Habits())

    assert [decode(octets[start:end])[0] for start, end in found] == [number for number, _, _ in whole]
    assert mine == [Entry(dn, values) for number, dn, values in whole if number == entries[0][0]]
    assert others == [(number, Entry(dn, values)) for number, dn, values in whole if number != entries[0][0]]


def _ends(messages: list[bytes]) -> list[int]:
    return [sum(map(len, messages[: place + 1])) for place in range(len(messages))]


@given(ATTRIBUTES, st.data())
def test_damaged_octets_are_read_as_strictly_in_bulk_as_one_by_one(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    octets = bytearray(entry_message(3, "cn=a", attributes))
    octets[data.draw(st.integers(5, len(octets) - 1))] = data.draw(st.integers(0, 255))
    message = bytes(octets)

    def by_itself() -> object:
        try:
            return decode(message)
        except Malformed:
            return Malformed

    def in_bulk() -> object:
        try:
            entries, others = decoded(message, [(0, len(message))], {3}, Habits())
        except Malformed:
            return Malformed
        return (3, entries[0]) if entries else others[0]

    assert in_bulk() == by_itself()


def test_the_end_of_a_search_is_known_without_reading_it() -> None:
    end, entry = done_message(300, 0, "", b"cookie"), entry_message(300, "cn=a", {})

    assert ended(end, 0, len(end)) == 300
    assert ended(entry, 0, len(entry)) == -1
    assert ended(end[:3], 0, 3) == -1


LIKE_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["cn", "mail", "uid", "employeenumber"]), st.lists(st.binary(max_size=140), max_size=2), max_size=4
)
MANY = st.lists(
    st.lists(st.binary(min_size=34, max_size=40), min_size=70, max_size=80).map(lambda values: [*values, b"\x04" * 36]),
    min_size=1,
    max_size=4,
)


def read_in_bulk(messages: list[bytes]) -> list[Entry]:
    """As answers to one search, so that each has the habits of those before it."""
    habits, octets = Habits(), b"".join(messages)
    entries, others = decoded(octets, bounds(octets), {3}, habits)
    assert others == []
    return entries


@given(st.lists(LIKE_ATTRIBUTES, min_size=2, max_size=6))
def test_entries_that_are_much_alike_are_read_as_they_were_sent(entries: list[dict[str, list[bytes]]]) -> None:
    messages = [entry_message(3, f"cn={number}", each) for number, each in enumerate(entries)]

    assert read_in_bulk(messages) == [decode(each)[1] for each in messages]


@given(MANY)
def test_groups_of_many_are_read_as_they_were_sent(groups: list[list[bytes]]) -> None:
    messages = [entry_message(3, "cn=g", {"cn": [b"g"], "member": members}) for members in groups]

    assert read_in_bulk(messages) == [Entry("cn=g", {"cn": [b"g"], "member": members}) for members in groups]


@given(st.one_of(LIKE_ATTRIBUTES, MANY.map(lambda groups: {"cn": [b"g"], "member": groups[0]})), st.data())
def test_damaged_octets_are_read_as_strictly_whatever_came_before(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    whole = entry_message(3, "cn=a", attributes)
    octets = bytearray(whole)
    octets[data.draw(st.integers(5, len(octets) - 1))] = data.draw(st.integers(0, 255))
    message, habits = bytes(octets), Habits()
    decoded(whole, [(0, len(whole))], {3}, habits)

    try:
        expected: object = decode(message)
    except Malformed:
        with pytest.raises(Malformed):
            decoded(message, [(0, len(message))], {3}, habits)
        return
    entries, others = decoded(message, [(0, len(message))], {3}, habits)
    assert ([(3, each) for each in entries] or others) == [expected]
