"""Policy trees read out of git's objects, with a real git."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.audit.revisions import Repository, RevisionError
from tests.audit.repository import commit, git, repository


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


def read(repo: Path, revision: str, path: str = "policies") -> dict[str, bytes]:
    found = Repository(repo)
    return found.files(found.revision(revision), path)


def test_files_are_those_of_the_revision_and_never_of_the_working_tree(repo: Path) -> None:
    first = commit(repo, {"policies/a.yaml": "roles: {}", "policies/角色.yml": "r: 1", "README.md": "x"})
    commit(repo, {"policies/a.yaml": "second", "policies/deep/b.yaml": "b"})
    (repo / "policies" / "a.yaml").write_text("not committed")
    (repo / "policies" / "new.yaml").write_text("not committed")
    assert read(repo, first) == {"policies/a.yaml": b"roles: {}", "policies/角色.yml": b"r: 1"}
    assert read(repo, "HEAD")["policies/a.yaml"] == b"second"
    assert sorted(read(repo, "HEAD")) == ["policies/a.yaml", "policies/deep/b.yaml", "policies/角色.yml"]


def test_bytes_come_as_committed_without_filters_or_line_end_magic(repo: Path) -> None:
    content = b"a: 1\r\nb: $Id$\r\n\xff\xfe"
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "config", "filter.evil.smudge", "touch smudged")
    commit(repo, {".gitattributes": "*.yaml filter=evil ident text eol=crlf", "policies/x.txt": "-"})
    git(repo, "config", "core.autocrlf", "false")
    blob = repo / "blob"
    blob.write_bytes(content)
    sha = git(repo, "hash-object", "-w", "--no-filters", str(blob))
    git(repo, "update-index", "--add", "--cacheinfo", f"100644,{sha},policies/raw.yaml")
    git(repo, "commit", "-q", "-m", "raw")
    assert read(repo, "HEAD") == {"policies/raw.yaml": content}
    assert not (repo / "smudged").exists()


def test_hidden_files_and_others_than_yaml_are_no_policies(repo: Path) -> None:
    files = {
        "policies/.hidden.yaml": "x",
        "policies/.git-crypt/k.yaml": "x",
        "policies/n.txt": "x",
        "policies/a.yaml": "x",
    }
    commit(repo, dict(files))
    assert sorted(read(repo, "HEAD")) == ["policies/a.yaml"]


def test_a_path_may_be_the_whole_repository_or_seen_from_a_folder_below(repo: Path) -> None:
    commit(repo, {"policies/a.yaml": "x", "work/space.yaml": "y"})
    assert sorted(read(repo, "HEAD", ".")) == ["policies/a.yaml", "work/space.yaml"]
    below = Repository(repo / "work")
    assert sorted(below.files(below.revision("HEAD"), "../policies")) == ["policies/a.yaml"]


def test_three_dots_start_where_the_branch_left(repo: Path) -> None:
    fork = commit(repo, {"policies/a.yaml": "1"})
    git(repo, "switch", "-q", "-c", "topic")
    topic = commit(repo, {"policies/a.yaml": "2"})
    git(repo, "switch", "-q", "main")
    newest = commit(repo, {"policies/b.yaml": "3"})
    base, head = Repository(repo).span("main...topic")
    assert (base.commit, head.commit) == (fork, topic)
    base, head = Repository(repo).span("main..topic")
    assert (base.commit, head.commit) == (newest, topic)
    base, head = Repository(repo).span("topic..")
    assert (base.commit, head.commit) == (topic, newest)


@pytest.mark.parametrize("text", ["main", "", "..", "..main"])
def test_what_is_no_range_says_how_to_write_one(repo: Path, text: str) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    with pytest.raises(RevisionError) as error:
        Repository(repo).span(text)
    assert "BASE..HEAD" in str(error.value)


def test_a_revision_that_does_not_exist_names_those_that_do(repo: Path) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    with pytest.raises(RevisionError, match="no revision `mian`") as error:
        Repository(repo).span("mian..HEAD")
    assert "main" in (error.value.remedy or "")


@pytest.mark.parametrize("revision", ["--output=/tmp/x", "-h", "HEAD:policies", "HEAD^{tree}", "a b", "@{999}"])
def test_a_revision_cannot_be_an_option_or_no_commit(repo: Path, revision: str) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    with pytest.raises(RevisionError):
        Repository(repo).revision(revision)


def test_a_shallow_clone_says_how_to_deepen_it(repo: Path, tmp_path: Path) -> None:
    first = commit(repo, {"policies/a.yaml": "1"})
    commit(repo, {"policies/a.yaml": "2"})
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repo}", str(shallow))
    with pytest.raises(RevisionError) as error:
        Repository(shallow).revision(first)
    assert "--unshallow" in (error.value.remedy or "")
    assert "fetch-depth: 0" in (error.value.remedy or "")


def test_a_clone_without_blobs_asks_nobody_on_the_network(repo: Path, tmp_path: Path) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    git(repo, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repo}", str(partial))
    repo.rename(tmp_path / "gone")
    with pytest.raises(RevisionError, match=r"no content for|cannot be listed"):
        read(partial, "HEAD")


def test_outside_of_git_and_in_an_empty_repository(tmp_path: Path, repo: Path) -> None:
    with pytest.raises(RevisionError, match="in no git repository"):
        Repository(tmp_path).revision("HEAD")
    with pytest.raises(RevisionError, match="no revision"):
        Repository(repo).revision("HEAD")
    with pytest.raises(RevisionError):
        Repository(tmp_path / "nowhere").revision("HEAD")


def test_a_path_that_is_not_there_or_lies_outside(repo: Path) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    with pytest.raises(RevisionError, match="nothing under rules"):
        read(repo, "HEAD", "rules")
    with pytest.raises(RevisionError, match="lies outside"):
        read(repo, "HEAD", "../elsewhere")


def test_a_link_is_refused_since_it_leads_out_of_the_revision(repo: Path) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    (repo / "policies" / "b.yaml").symlink_to("/etc/passwd")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "link")
    with pytest.raises(RevisionError, match="symbolic link"):
        read(repo, "HEAD")


def test_a_bare_repository_will_do(repo: Path, tmp_path: Path) -> None:
    commit(repo, {"policies/a.yaml": "1"})
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repo), str(bare))
    assert read(bare, "main") == {"policies/a.yaml": b"1"}


def test_changes_that_are_not_committed_are_noticed(repo: Path) -> None:
    commit(repo, {"policies/a.yaml": "1", "other/b.yaml": "1"})
    assert not Repository(repo).is_dirty("policies")
    (repo / "other" / "b.yaml").write_text("2")
    assert not Repository(repo).is_dirty("policies")
    (repo / "policies" / "a.yaml").write_text("2")
    assert Repository(repo).is_dirty("policies")
