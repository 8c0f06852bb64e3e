"""News of the policy repository, by git itself: what is taken over, and what is not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.workspace.upstream import PolicySource, UpstreamRefused
from tests.audit.repository import commit, git, repository


class Lab:
    """What somebody pushes to (`there`), where they work (`desk`), and the service's own copy (`here`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there = folder / "there.git"
        self.desk = repository(folder / "desk")
        git(folder, "init", "-q", "--bare", "-b", "main", str(self.there))
        git(self.desk, "remote", "add", "origin", str(self.there))
        self.push({"policies/p.yaml": "a: 1\n"})
        git(folder, "clone", "-q", str(self.there), "here")
        self.here = folder / "here"
        self.source = PolicySource([self.here / "policies"], "main")

    def push(self, files: dict[str, str | bytes | None], *how: str) -> str:
        made = commit(self.desk, files)
        git(self.desk, "push", "-q", *how, "origin", "HEAD:main")
        return made

    def head(self) -> str:
        return git(self.here, "rev-parse", "HEAD")

    def refused(self, words: str) -> None:
        """The news are not taken over, and nothing has changed."""
        before, tree = self.head(), (self.here / "policies" / "p.yaml").read_text("utf-8")
        with pytest.raises(UpstreamRefused, match=words):
            self.news()
        assert self.head() == before
        assert (self.here / "policies" / "p.yaml").read_text("utf-8") == tree

    def news(self) -> str | None:
        """What it has gone on to."""
        self.source.fetch()
        found = self.source.news()
        if found is None:
            return None
        self.source.take_over(found)
        return found.after


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_news_of_the_branch_are_taken_over_once(lab: Lab) -> None:
    assert lab.news() is None
    commit(lab.desk, {"policies/q.yaml": "b: 1\n"})
    pushed = lab.push({"policies/p.yaml": "a: 2\n"})

    assert lab.news() == pushed
    assert (lab.here / "policies" / "p.yaml").read_text("utf-8") == "a: 2\n"
    assert lab.news() is None
    assert git(lab.here, "status", "--porcelain") == ""


def test_another_branch_is_nobodys_news(lab: Lab) -> None:
    commit(lab.desk, {"policies/p.yaml": "a: 2\n"})
    git(lab.desk, "push", "-q", "origin", "HEAD:topic")

    assert lab.news() is None


def test_a_history_that_was_rewritten_is_refused(lab: Lab) -> None:
    lab.push({"policies/p.yaml": "a: 2\n"})
    lab.news()
    git(lab.desk, "reset", "-q", "--hard", "HEAD~1")
    lab.push({"policies/p.yaml": "a: 3\n"}, "--force")

    lab.refused("no fast-forward")


def test_commits_of_ones_own_are_not_mixed_with_others(lab: Lab) -> None:
    commit(lab.here, {"policies/own.yaml": "a: 9\n"})
    assert lab.news() is None, "nothing new there"
    lab.push({"policies/p.yaml": "a: 2\n"})

    lab.refused("no fast-forward")


@pytest.mark.parametrize("file", ["policies/p.yaml", "README"])
def test_nothing_is_written_over_what_somebody_changed(lab: Lab, file: str) -> None:
    lab.push({"README": "1"})
    lab.news()
    (lab.here / file).write_text("by hand\n", "utf-8")
    lab.push({"policies/p.yaml": "a: 2\n"})

    lab.refused(f"nobody has committed: {file}")


def test_a_file_beside_the_policies_that_git_does_not_know_counts_where_it_would_be_read(lab: Lab) -> None:
    (lab.here / "state").mkdir()
    (lab.here / "state" / "reconciler.db").write_bytes(b"1")
    pushed = lab.push({"policies/p.yaml": "a: 2\n"})
    assert lab.news() == pushed

    (lab.here / "policies" / "new.yaml").write_text("by hand\n", "utf-8")
    lab.push({"policies/p.yaml": "a: 3\n"})
    lab.refused("nobody has committed: policies/new.yaml")


def test_a_file_that_would_be_written_over_stays(lab: Lab) -> None:
    (lab.here / "notes").write_text("by hand\n", "utf-8")
    lab.push({"notes": "pushed\n", "policies/p.yaml": "a: 2\n"})

    lab.refused("the policies stay as they are")
    assert (lab.here / "notes").read_text("utf-8") == "by hand\n"


def test_it_goes_on_on_its_own_branch_only(lab: Lab) -> None:
    git(lab.here, "switch", "-q", "-c", "topic")
    lab.push({"policies/p.yaml": "a: 2\n"})

    lab.refused("is on topic, and the service takes over main")


def test_a_remote_that_is_away_is_told_without_its_password(lab: Lab) -> None:
    git(lab.here, "remote", "set-url", "origin", "https://me:hunter2@127.0.0.1:1/policies.git")

    with pytest.raises(UpstreamRefused, match="cannot be fetched from origin") as found:
        lab.news()
    assert "hunter2" not in str(found.value)


def test_no_hook_of_the_copy_runs(lab: Lab) -> None:
    hook = lab.here / ".git" / "hooks" / "post-merge"
    hook.write_text(f"#!/bin/sh\ntouch {lab.folder}/ran\n", "utf-8")
    hook.chmod(0o755)
    lab.push({"policies/p.yaml": "a: 2\n"})

    assert lab.news()
    assert not (lab.folder / "ran").exists()


# --- signatures ---------------------------------------------------------------------------------------------------


def key(lab: Lab, name: str) -> Path:
    path = lab.folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


def sign_with(lab: Lab, path: Path) -> None:
    for setting, value in (("gpg.format", "ssh"), ("user.signingKey", str(path)), ("commit.gpgSign", "true")):
        git(lab.desk, "config", setting, value)


@pytest.fixture
def signing(lab: Lab) -> Lab:
    """Only what `alice` signs is taken over."""
    public = key(lab, "alice").with_suffix(".pub").read_text("utf-8")
    signers = lab.folder / "signers"
    signers.write_text(f"alice@example.com {public}", "utf-8")
    lab.source = replace(lab.source, signers=signers)
    sign_with(lab, lab.folder / "alice")
    return lab


def test_a_commit_of_a_known_signer_is_taken_over(signing: Lab) -> None:
    pushed = signing.push({"policies/p.yaml": "a: 2\n"})

    assert signing.news() == pushed


def test_a_commit_that_nobody_or_somebody_else_signed_is_not(signing: Lab) -> None:
    git(signing.desk, "config", "commit.gpgSign", "false")
    signing.push({"policies/p.yaml": "a: 2\n"})
    signing.refused("is signed by nobody whom signers names")

    git(signing.desk, "reset", "-q", "--hard", "HEAD~1")
    sign_with(signing, key(signing, "mallory"))
    signing.push({"policies/p.yaml": "a: 3\n"}, "--force")
    signing.refused("is signed by nobody whom signers names")


def test_a_signed_commit_does_not_bring_unsigned_ones_with_it(signing: Lab) -> None:
    git(signing.desk, "config", "commit.gpgSign", "false")
    commit(signing.desk, {"policies/p.yaml": "a: 2\n"})
    sign_with(signing, signing.folder / "alice")
    signing.push({"policies/q.yaml": "b: 1\n"})

    signing.refused("is signed by nobody whom signers names")


def test_a_commit_does_not_name_its_own_signer(signing: Lab) -> None:
    """Where the file of signers is in the repository: it counts as it was accepted."""
    inside = signing.here / "policies" / "signers"
    signing.push({"policies/signers": (signing.folder / "signers").read_text("utf-8")})
    assert signing.news()
    signing.source = replace(signing.source, signers=inside)
    mallory = key(signing, "mallory")
    sign_with(signing, mallory)
    signing.push({"policies/signers": "mallory " + mallory.with_suffix(".pub").read_text("utf-8")})

    signing.refused("is signed by nobody whom signers names")


def test_a_signature_of_another_kind_does_not_count(signing: Lab) -> None:
    """A key in the account's OpenPGP keyring is no signer of the file."""
    program = signing.folder / "gpg"
    program.write_text("#!/bin/sh\necho '[GNUPG:] GOODSIG 0 x' ; echo '[GNUPG:] TRUST_ULTIMATE'; exit 0\n", "utf-8")
    program.chmod(0o755)
    git(signing.here, "config", "gpg.program", str(program))
    made = commit(signing.desk, {"policies/p.yaml": "a: 2\n"})
    raw = git(signing.desk, "cat-file", "commit", made)
    head, _, message = raw.partition("\n\n")
    plain = head.partition("gpgsig ")[0].rstrip("\n")
    mark = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----"
    text = f"{plain}\n{mark}\n\n{message}\n"
    done = subprocess.run(
        ["git", "-C", str(signing.desk), "hash-object", "-t", "commit", "-w", "--stdin"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    git(signing.desk, "push", "-q", "origin", f"{done.stdout.decode().strip()}:main")

    signing.refused("is signed by nobody whom signers names")


def test_without_its_file_of_signers_nothing_is_taken_over(signing: Lab) -> None:
    (signing.folder / "signers").unlink()
    signing.push({"policies/p.yaml": "a: 2\n"})

    signing.refused("there is no file")
