"""One workspace: its file, what that refers to, the repository of its policies, and everything wired together."""

from reconciler.workspace.file import AnchorRefused, RunInProgress, SecretMissing, WorkspaceError
from reconciler.workspace.repository import repository_root
from reconciler.workspace.tree import TreeMark
from reconciler.workspace.workspace import StandingPolicy, Workspace, lease, login_name, now

__all__ = [
    "AnchorRefused",
    "RunInProgress",
    "SecretMissing",
    "StandingPolicy",
    "TreeMark",
    "Workspace",
    "WorkspaceError",
    "lease",
    "login_name",
    "now",
    "repository_root",
]
