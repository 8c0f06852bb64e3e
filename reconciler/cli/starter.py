"""What `init` writes: a workspace file that teaches, the starter policies, a small vault."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from reconciler.errors import Place, ReconcilerError
from reconciler.workspace import WorkspaceError

WORKSPACE = """\
# One workspace: where people come from, where access lives, which policies rule.
format: reconciler.workspace/1
organization: {organization}
timezone: UTC                            # what a whole day means here, e.g. Asia/Shanghai
policies: policies/
store: sqlite:///state/reconciler.db     # the ledger; back it up, and keep it out of git

sources:
  hr:
    type: csv
    path: people.csv                     # UTF-8 or GB18030
    feed: full                           # the file names everybody: who is missing from it is asked about
    # columns: {{id: 工号, name: 姓名}}     # our word: the header in your file
    # values: {{department: {{R&D: rd}}}}    # what your file says: what the policies say

targets:
  corp-ldap:
    type: ldap
    url: ldap://localhost:389
    tls: starttls                        # or ldaps with an ldaps:// url
    bind: {{dn: "cn=reconciler,dc=example,dc=com", password: "${{env:LDAP_PASSWORD}}"}}
    people: {{base: "ou=people,dc=example,dc=com", match: {{employeeNumber: id}}}}
    groups: {{base: "ou=groups,dc=example,dc=com", kind: groupOfNames}}
    foreign: report                      # or revoke
    orphans: report                      # or disable
  # without a server at hand, on an export of the directory:
  # corp-ldap:
  #   type: ldif
  #   path: directory.ldif
  #   people: {{base: "ou=people,dc=example,dc=com", match: {{employeeNumber: id}}}}
  #   groups: {{base: "ou=groups,dc=example,dc=com", kind: groupOfNames}}
  vault: {{type: casbin, model: vault.conf, policy: vault.csv}}
"""

VAULT_MODEL = """\
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""

PEOPLE = (
    "id,name,employment,department,post,grade,projects,location,manager,starts_on,ends_on,status,assignment,email\n"
)


class StarterMissing(ReconcilerError):
    """The starter policies are not installed with the program."""

    code = "starter-missing"


class NotEmpty(ReconcilerError):
    """There is a workspace already."""

    code = "workspace-exists"


def write_workspace(folder: Path, organization: str) -> list[Path]:
    """Write a new workspace into the folder and return the files written.

    Raises `NotEmpty` where there is one, `WorkspaceError` where none can be.
    """
    if (folder / "reconciler.yaml").exists():
        place = Place(str(folder / "reconciler.yaml"))
        raise NotEmpty("there is a workspace here already", place=place, remedy="choose an empty folder")
    files = {
        "reconciler.yaml": WORKSPACE.format(organization=json.dumps(organization, ensure_ascii=False)),
        "people.csv": PEOPLE,
        "vault.conf": VAULT_MODEL,
        "vault.csv": "",
        ".gitignore": "state/\npeople.csv\n",
        **{f"policies/{name}": text for name, text in starter_policies().items()},
    }
    written = []
    for name, text in files.items():
        path = folder / name
        if not path.exists():
            _write(path, text)
            written.append(path)
    return written


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        said = f"no workspace can be written here: {error.strerror}"
        raise WorkspaceError(said, place=Place(str(error.filename or path)), remedy="name another folder") from None


def starter_policies() -> dict[str, str]:
    """File name → text of the starter policies, from the installed package or from a checkout of the project."""
    installed = resources.files("reconciler") / "starter" / "policies"
    folder = Path(str(installed)) if installed.is_dir() else Path(__file__).parents[2] / "policies"
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise StarterMissing("the starter policies are missing from this installation", remedy="install it again")
    return found
