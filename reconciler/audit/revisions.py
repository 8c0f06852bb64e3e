"""Policy trees as git has them: read from the objects of a revision, never from the working tree.

Nothing that a repository holds is run, checked out or filtered on the way: `git ls-tree` names the blobs of a commit,
`git cat-file` gives their bytes. So the policies of somebody else's branch can be read without trusting its author.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcilerError

MOST_FILES = 20_000
"""More files than this under one path are no policy tree."""
MOST_BYTES = 256 * 1024 * 1024
"""All blobs of a tree together; a single file is bounded where it is read as YAML."""

_RANGE = re.compile(r"(?P<base>.+?)(?P<dots>\.{2,3})(?P<head>.*)", re.DOTALL)
_LINK, _BLOBS = "120000", ("100644", "100755", "100664")


class RevisionError(ReconcilerError):
    """A git revision, or a path at one, cannot be read."""

    code = "revision"


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit: as it was asked for, and its full id."""

    asked: str
    commit: str

    @property
    def short(self) -> str:
        """The commit as people read it."""
        return self.commit[:12]


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository, known by a folder inside its working tree (or by a bare repository itself)."""

    folder: Path

    def span(self, text: str) -> tuple[Revision, Revision]:
        """The two revisions of ``BASE..HEAD``; with three dots, BASE is where HEAD's branch left it.

        An end that is left out is ``HEAD``. Raises `RevisionError`.
        """
        found = _RANGE.fullmatch(text)
        if found is None:
            remedy = "write BASE..HEAD, such as origin/main..HEAD; with three dots, from where the branch left BASE"
            raise RevisionError(f"`{text}` is no range of two revisions", remedy=remedy)
        base, head = self.revision(found["base"]), self.revision(found["head"] or "HEAD")
        if len(found["dots"]) == 3:
            base = self._fork_point(base, head)
        return base, head

    def revision(self, asked: str) -> Revision:
        """The commit that a name means now. Raises `RevisionError` where there is none."""
        self._require_repository()
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}")
        if done.returncode != 0:
            raise RevisionError(f"git knows no revision `{asked}` here", remedy=self._why_unknown(asked))
        return Revision(asked, done.stdout.decode("ascii").strip())

    def files(self, revision: Revision, path: str) -> dict[str, bytes]:
        """Every YAML file under the path at that revision: its name from the repository's root → its content.

        `path` is relative to the folder (or absolute), and may lie above it. Hidden files and folders are left out.
        Raises `RevisionError` where there is no such folder, or where a link or too much stands in it.
        """
        prefix = self._from_root(path)
        done = self._git(
            "ls-tree", "-r", "-z", "-l", "--full-tree", revision.commit, "--", *([prefix] if prefix else [])
        )
        if done.returncode != 0:
            raise RevisionError(f"{revision.asked} cannot be listed: {_said(done)}", remedy=self._deepen())
        entries = [_entry(line) for line in done.stdout.decode("utf-8", "surrogateescape").split("\0") if line]
        if not entries:
            text = f"there is nothing under {path} at {revision.asked} ({revision.short})"
            raise RevisionError(text, remedy="name the policy folder as it is called there: --policies PATH")
        chosen = [entry for entry in entries if _is_policy(entry.name, prefix)]
        _refuse_oddities(chosen, revision)
        return dict(zip((entry.name for entry in chosen), self._contents(chosen), strict=True))

    def is_dirty(self, path: str) -> bool:
        """Whether the working tree under the path differs from what is committed."""
        prefix = self._from_root(path)
        done = self._git("status", "--porcelain", "-z", "--", f":(top,literal){prefix}" if prefix else ":(top)")
        return done.returncode == 0 and bool(done.stdout)

    # --- git ----------------------------------------------------------------------------------------------------------

    def _contents(self, entries: Sequence[_Entry]) -> list[bytes]:
        asked = "".join(f"{entry.blob}\n" for entry in entries).encode("ascii")
        done = self._git("cat-file", "--batch", given=asked)
        out, contents, at = done.stdout, [], 0
        for entry in entries:
            end = out.find(b"\n", at)
            words = out[at:end].split() if end >= 0 else []
            if len(words) != 3 or words[1] != b"blob":
                text = (
                    f"git has no content for {entry.name} ({entry.blob[:12]}): {_said(done) or 'the object is missing'}"
                )
                raise RevisionError(text, remedy=self._deepen() or "fetch the objects: git fetch --refetch")
            size = int(words[2])
            contents.append(out[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        return contents

    def _from_root(self, path: str) -> str:
        root = self._git("rev-parse", "--show-toplevel")
        if root.returncode != 0:  # a bare repository has no working tree: paths are its own
            return Path(path).as_posix().strip("/").removeprefix("./")
        top = Path(root.stdout.decode("utf-8", "surrogateescape").rstrip("\n")).resolve()
        wanted = (self.folder / path).resolve()
        if not wanted.is_relative_to(top):
            raise RevisionError(f"{path} lies outside of the repository {top}", remedy="name a folder inside of it")
        inside = wanted.relative_to(top).as_posix()
        return "" if inside == "." else inside

    def _fork_point(self, base: Revision, head: Revision) -> Revision:
        done = self._git("merge-base", base.commit, head.commit)
        if done.returncode != 0:
            text = f"`{base.asked}` and `{head.asked}` have no commit in common"
            raise RevisionError(text, remedy=self._deepen() or "write two dots to compare them as they are")
        return Revision(f"merge-base({base.asked}, {head.asked})", done.stdout.decode("ascii").strip())

    def _require_repository(self) -> None:
        done = self._git("rev-parse", "--git-dir")
        if done.returncode != 0:
            said = _said(done)
            if "dubious ownership" in said:
                remedy = "the folder belongs to somebody else; tell git that you trust it: git config safe.directory"
                raise RevisionError(f"git refuses to read {self.folder}: {said.splitlines()[0]}", remedy=remedy)
            text = f"{self.folder.resolve()} is in no git repository"
            raise RevisionError(text, remedy="keep the policies in git: git init && git add . && git commit")

    def _why_unknown(self, asked: str) -> str:
        if deepen := self._deepen():
            return deepen
        names = self._git("for-each-ref", "--format=%(refname:short)", "--count=8", "refs/heads", "refs/remotes")
        known = ", ".join(names.stdout.decode("utf-8", "replace").split())
        return f"it has: {known}" if known else "nothing is committed yet"

    def _deepen(self) -> str:
        done = self._git("rev-parse", "--is-shallow-repository")
        if done.stdout.strip() != b"true":
            return ""
        return "this clone is shallow, so that older commits are missing: git fetch --unshallow (in CI: fetch-depth: 0)"

    def _git(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-C", str(self.folder), "-c", "core.fsmonitor=false", "--no-optional-locks", *arguments]
        environment = {**os.environ, "LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
        try:
            return subprocess.run(command, input=given, capture_output=True, check=False, env=environment, timeout=300)  # noqa: S603  # words of ours and a revision behind --end-of-options, no shell
        except FileNotFoundError:
            text = f"git cannot be started in {self.folder}"
            raise RevisionError(text, remedy="install git; see that the folder exists") from None
        except subprocess.TimeoutExpired:
            raise RevisionError(f"git has not answered for 300 s in {self.folder}") from None


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    blob: str
    size: int
    name: str


def _entry(line: str) -> _Entry:
    facts, _, name = line.partition("\t")
    mode, _, blob, size = facts.split()
    return _Entry(mode, blob, int(size) if size.isdigit() else 0, name)


def _is_policy(name: str, prefix: str) -> bool:
    inside = name[len(prefix) + 1 :] if prefix and name != prefix else name
    return name.endswith((".yaml", ".yml")) and not any(part.startswith(".") for part in inside.split("/"))


def _refuse_oddities(entries: Sequence[_Entry], revision: Revision) -> None:
    for entry in entries:
        if entry.mode == _LINK:
            text = f"{entry.name} is a symbolic link at {revision.asked}, and what it points to is not in the revision"
            raise RevisionError(text, remedy="put the file itself there")
        if entry.mode not in _BLOBS:
            text = f"{entry.name} is no file at {revision.asked} (mode {entry.mode})"
            raise RevisionError(text, remedy="a policy tree holds files and folders alone")
    if len(entries) > MOST_FILES or sum(entry.size for entry in entries) > MOST_BYTES:
        text = f"{len(entries)} files under the path at {revision.asked}: that is no policy tree"
        raise RevisionError(text, remedy="name the policy folder: --policies PATH")


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
