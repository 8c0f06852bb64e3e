"""What the tests of this folder rely on: who may open a document is told by Mayan itself, asked as that user."""

from __future__ import annotations

from tests.servers.mayan import READ, Mayan


def test_a_document_opens_for_whom_a_role_lets_in_and_for_nobody_else(mayan: Mayan) -> None:
    kind = mayan.document_type("设计图")
    document = mayan.document(kind, "龙芯 v2")
    reader, other = mayan.user("zhang"), mayan.user("smith")
    mayan.allow("documents/documenttype", kind, mayan.role("readers", mayan.group("读者", reader)), *READ)

    assert mayan.opens(reader, document)
    assert not mayan.opens(other, document)
