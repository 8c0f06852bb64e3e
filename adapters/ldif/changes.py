"""The file of changes: LDIF that `ldapmodify` carries out on the directory that the content file is an export of.

Changes are appended, run after run, because those of an earlier run may not have been brought back yet; who has done so
deletes the file. Source: RFC 2849, change records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.directory.entries import Modification
from adapters.ldif.document import attribute_lines
from adapters.ldif.files import replace_file

__all__ = ["add_record", "append_changes", "delete_record", "modify_record", "move_record"]

_HEADER = b"""\
# What `reconciler apply` changed in the LDIF beside this file. Bring it to the directory with ldapmodify, then delete
# it: later runs append here.

"""
_NEWLINE = b"\n"


def modify_record(dn: str, modifications: Sequence[Modification]) -> bytes:
    """A change record that makes these modifications."""
    parts = [_attribute("dn", dn.encode()), b"changetype: modify\n"]
    for part in modifications:
        parts.append(_attribute(part.edit.value, part.attribute.encode()))
        parts += [_attribute(part.attribute, value) for value in part.values]
        parts.append(b"-\n")
    return b"".join(parts) + _NEWLINE


def add_record(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    """A change record that adds an entry."""
    lines = [_attribute(name, value) for name, values in attributes.items() for value in values]
    return b"".join([_attribute("dn", dn.encode()), b"changetype: add\n", *lines]) + _NEWLINE


def delete_record(dn: str) -> bytes:
    """A change record that deletes an entry."""
    return _attribute("dn", dn.encode()) + b"changetype: delete\n" + _NEWLINE


def move_record(dn: str, rdn: str, superior: str) -> bytes:
    """A change record that puts an entry below another one, under this name of its own."""
    parts = [_attribute("dn", dn.encode()), b"changetype: modrdn\n", _attribute("newrdn", rdn.encode())]
    return b"".join((*parts, b"deleteoldrdn: 1\n", _attribute("newsuperior", superior.encode()))) + _NEWLINE


def append_changes(path: Path, records: Sequence[bytes]) -> None:
    """Add change records to the file, or make it. Raises `OSError`.

    Records that the file ends with already are those of a run that died before it could rewrite the content; they stand
    once.
    """
    old = path.read_bytes() if path.exists() else _HEADER
    new = b"".join(records)
    if not old.endswith(new):
        replace_file(path, old + new)


def _attribute(name: str, value: bytes) -> bytes:
    return attribute_lines(name, value, _NEWLINE)
