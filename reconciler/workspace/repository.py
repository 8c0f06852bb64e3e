"""The git repository that the policies are kept in, and what is kept there beside them: checkpoints of the record."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.workspace.file import AnchorRefused

__all__ = ["PolicyRepository", "repository_root"]

ANCHORS = "reconciler/ledger"
"""Under which name the policy repository keeps checkpoints, as tags."""


@dataclass(frozen=True, slots=True)
class PolicyRepository:
    """Where these folders of policies are kept; the first one says which repository that is."""

    folders: Sequence[Path]

    @property
    def _folder(self) -> Path:
        return self.folders[0]

    def revision(self) -> str:
        """What git calls the policy tree as it is now, with ``+changes`` where it is not committed; empty outside of
        git.
        """
        commit = _git(self._folder, "rev-parse", "--short=12", "HEAD")
        if not commit:
            return ""
        folders = [str(each.resolve()) for each in self.folders]
        return f"{commit}+changes" if _git(self._folder, "status", "--porcelain", "--", *folders) else commit

    def policy_authors(self, since: str) -> frozenset[str]:
        """Who made the policy tree what it is, after that revision: the names, the addresses and their first halves, as
        git has them of authors and committers. Nobody outside of git.
        """
        folder, base = self._folder, since.partition("+")[0]
        folders = [str(each.resolve()) for each in self.folders]
        known = base and _git(folder, "cat-file", "-t", base) == "commit"
        span = [f"{base}..HEAD"] if known else ["-1"]
        told = _git(folder, "log", "--format=%an%n%ae%n%cn%n%ce", *span, "--", *folders)
        names = {line.strip() for line in told.splitlines() if line.strip()}
        return frozenset(names | {name.partition("@")[0] for name in names})

    def anchored(self) -> list[tuple[str, str]]:
        """The checkpoints in the policy repository: the name of each tag, and what it says. None outside of git."""
        told = _git(
            self._folder,
            "for-each-ref",
            "--format=%(refname:short)%00%(contents:subject)",
            f"refs/tags/{ANCHORS}",
        )
        return [(name, text) for name, _, text in (line.partition("\0") for line in told.splitlines()) if text]

    def anchor(self, name: str, text: str) -> str:
        """Keep a text of one line as an annotated tag of the policy repository's newest commit: what it is called.
        Raises `AnchorRefused` where there is no repository or no commit, or git says no.
        """
        folder, tag = self._folder, f"{ANCHORS}/{name}"
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


def repository_root(folder: Path) -> Path:
    """The top of the git working tree that the folder lies in; outside of git, the current directory."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else Path.cwd()


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
