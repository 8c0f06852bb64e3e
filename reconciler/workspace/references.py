"""What the workspace file refers to and does not hold: passwords and tokens, in the environment, in a file that only
its owner can read, or in the system's keyring. What stands there in clear text is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reconciler.errors import Place
from reconciler.policy.nodes import Node
from reconciler.workspace.file import SecretMissing, WorkspaceError, find_place

__all__ = ["References"]

_REFERENCE = re.compile(r"\$\{(?P<scheme>[a-z]+):(?P<name>[^}]+)\}")
_SECRET_KEYS = re.compile(r"password|passwd|secret|token(?!_url)|api[-_]?key|private[-_]?key|bearer", re.IGNORECASE)


_SECRET_IN_URL = re.compile(r"://[^/?#:@]*:[^@]+@|[?&](?:ssl)?password=[^&]", re.IGNORECASE)
"""A password between a URL's user and its host, or among its options, once references are taken out."""


@dataclass(frozen=True, slots=True)
class References:
    """Those of one workspace file; `folder` is what paths in it are relative to, `node` the file itself."""

    folder: Path
    node: Node

    def url(self, url: str, place: Place) -> str:
        """`store` with what it refers to, escaped so that any password may stand in a URL. Raises `WorkspaceError`."""
        whole = _REFERENCE.fullmatch(url)
        if whole is not None:
            return self._referenced(whole["scheme"], whole["name"], place)
        if _SECRET_IN_URL.search(_REFERENCE.sub("", url)):
            text = "`store` holds a password in clear text, and many can read this file"
            remedy = 'refer to it: store: "postgresql://reconciler:${env:STORE_PASSWORD}@db.example.com/reconciler"'
            raise WorkspaceError(text, place=place, remedy=remedy)
        return _REFERENCE.sub(lambda found: quote(self._referenced(found["scheme"], found["name"], place), ""), url)

    def resolved(self, value: Any, path: tuple[str | int, ...], key: str = "") -> Any:
        """Settings with what they refer to; `path` is where they stand in the file. Raises `WorkspaceError`."""
        if isinstance(value, Mapping):
            return {name: self.resolved(inner, (*path, name), str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.resolved(inner, (*path, index), key) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        place = find_place(self.node, *path)
        if _SECRET_KEYS.search(key) and not _REFERENCE.fullmatch(value):
            text = f"`{key}` stands here in clear text, and many can read this file"
            raise WorkspaceError(text, place=place, remedy=f'refer to it: {key}: "${{env:NAME}}" or "${{file:PATH}}"')
        return _REFERENCE.sub(lambda found: self._referenced(found["scheme"], found["name"], place), value)

    def is_reference(self, text: str) -> bool:
        """Whether the whole text is one reference, so that nothing of what it leads to stands in the file."""
        return _REFERENCE.fullmatch(text) is not None

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
        credential = _credential(name)
        path = credential or self.folder / name
        try:
            mode, text = path.stat().st_mode, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretMissing(f"the secret file {name} cannot be read: {error}", place=place) from None
        # Into systemd's folder nobody else comes, and an access control list on the file shows as rights of a group.
        if mode & (0o037 if credential else 0o077):
            text = f"others than its owner can use the secret file {name} (mode {mode & 0o777:04o})"
            raise WorkspaceError(text, place=place, remedy=f"chmod 600 {name}")
        return text.rstrip("\r\n")


def _credential(name: str) -> Path | None:
    """The file by which systemd hands the secret of this name to this process (`LoadCredential=`), if it does."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / name
    return path if folder and path.name == name and path.is_file() else None


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
