"""News of the policy repository: fetched from one branch of one remote, and taken over where nothing speaks against it.

Promises: only a fast-forward, and only while that branch is checked out; never over anything that was changed by hand;
with `signers`, only where every new commit is signed by one of them, by the file as it was before the news. What does
not hold is said and changes nothing. Nobody is asked for a password, no hook of the repository runs, and no message
repeats what a remote's address may hold.

Sources: the manual pages git-fetch, git-merge, git-verify-commit, ssh-keygen (ALLOWED SIGNERS).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.workspace.file import WorkspaceError

__all__ = ["News", "PolicySource", "UpstreamRefused"]

PATIENCE = 120
"""Seconds that git has for anything, fetching included."""

_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "LC_ALL": "C"}
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_ONLY_SSH = ("gpg.program", "gpg.openpgp.program", "gpg.x509.program")
"""Whose keys count there is not for the file of signers to say, so that no signature of theirs does."""

_LOGIN = re.compile(r"(?<=//)[^/@\s]+@")


class UpstreamRefused(WorkspaceError):
    """The policy repository's news cannot be had, or are not taken over."""

    code = "policy-repository"


@dataclass(frozen=True, slots=True)
class News:
    """From which commit to which."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PolicySource:
    """A branch of a remote of the repository that these folders of policies are in, the first of them says which."""

    folders: Sequence[Path]
    branch: str
    remote: str = "origin"
    signers: Path | None = None

    @property
    def _tip(self) -> str:
        return f"refs/remotes/{self.remote}/{self.branch}"

    def fetch(self) -> None:
        """Ask the remote. Changes nothing but what git knows of it. Raises `UpstreamRefused`."""
        refs = f"+refs/heads/{self.branch}:{self._tip}"
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
        done = self._git("fetch", *options, "--", self.remote, refs)
        if done.returncode != 0:
            text = f"the policies cannot be fetched from {self.remote}: {_said(done)}"
            raise UpstreamRefused(text, remedy=f"see what this says, as this account: git fetch {self.remote}")

    def news(self) -> News | None:
        """What was fetched and may be taken over; None where that is nothing new. Raises `UpstreamRefused`."""
        before, after = self._commit("HEAD"), self._commit(self._tip)
        if before == after or self._leads_to(after, before):
            return None
        self._check_branch()
        if not self._leads_to(before, after):
            text = f"{self.remote}/{self.branch} does not go on from what is here ({before[:12]}): no fast-forward"
            raise UpstreamRefused(text, remedy="somebody rewrote it, or committed here: look, and settle it by hand")
        self._check_untouched()
        self._check_signed(before, after)
        return News(before, after)

    def take_over(self, news: News) -> None:
        """Go on to that commit. Raises `UpstreamRefused`."""
        done = self._git("merge", "--quiet", "--ff-only", "--no-autostash", news.after)
        if done.returncode != 0:
            raise UpstreamRefused(f"the policies stay as they are: {_said(done)}", remedy="settle it by hand")

    # --- what speaks against it -----------------------------------------------------------------------------------

    def _check_branch(self) -> None:
        there = self._git("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
        if there != self.branch:
            text = f"the policy repository is on {there or 'no branch'}, and the service takes over {self.branch}"
            raise UpstreamRefused(text, remedy=f"git switch {self.branch}, or correct `service.policy_repository`")

    def _check_untouched(self) -> None:
        """What is not tracked counts in the policies' own folders, where it would be read."""
        own = [str(folder.resolve()) for folder in self.folders]
        changed = self._git("status", "--porcelain", "--untracked-files=no")
        added = self._git("status", "--porcelain", "--", *own)
        found = (changed.stdout + added.stdout).splitlines()
        if found or changed.returncode or added.returncode:
            what = f": {found[0][3:]}" + (" and more" if len(set(found)) > 1 else "") if found else ""
            text = f"there are changes in the policy repository that nobody has committed{what}"
            raise UpstreamRefused(text, remedy="commit and push them, or take them back: nothing is written over")

    def _check_signed(self, before: str, after: str) -> None:
        if self.signers is None:
            return
        if not self.signers.is_file():
            raise UpstreamRefused(f"there is no file {self.signers} of signers", remedy="correct `signers`")
        keys = ["-c", f"gpg.ssh.allowedSignersFile={self.signers.resolve()}", "-c", "gpg.minTrustLevel=fully"]
        for program in _ONLY_SSH:
            keys += ["-c", f"{program}=false"]
        for commit in self._git("rev-list", "--reverse", f"{before}..{after}").stdout.split():
            if self._git("verify-commit", commit, settings=keys).returncode != 0:
                text = f"commit {commit[:12]} of {self.branch} is signed by nobody whom {self.signers.name} names"
                raise UpstreamRefused(text, remedy=f"look at it: git show --show-signature {commit[:12]}")

    # --- git ------------------------------------------------------------------------------------------------------

    def _leads_to(self, older: str, newer: str) -> bool:
        return self._git("merge-base", "--is-ancestor", older, newer).returncode == 0

    def _commit(self, name: str) -> str:
        done = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if done.returncode != 0:
            text = f"the policies are in no git repository that has a commit at {name}"
            raise UpstreamRefused(text, remedy="clone it, or take `service.policy_repository` out")
        return done.stdout.strip()

    def _git(self, *arguments: str, settings: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603  # fixed words, checked names and paths of ours, no shell
                ["git", "-C", str(self.folders[0]), *_NO_HOOKS, *settings, *arguments],  # noqa: S607  # as PATH says
                env={**os.environ, **_QUIET},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
                start_new_session=True,  # without a terminal that ssh could ask on
            )
        except subprocess.TimeoutExpired:
            raise UpstreamRefused(
                f"git {arguments[0]} took longer than {PATIENCE} s", remedy="try it by hand"
            ) from None
        except OSError as error:
            raise UpstreamRefused(f"git cannot be run: {error.strerror}", remedy="install git") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in _LOGIN.sub("", done.stderr).splitlines() if line.strip()]
    return lines[0][:300] if lines else f"git ended with {done.returncode}"
