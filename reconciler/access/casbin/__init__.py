"""The same decisions for any casbin enforcer, and an oracle for ours: written from the policies and the facts, never
from our evaluation.

Two plain files, made for one moment and good for that moment alone: a model with standard operators and no function
of our own, and a policy. A request is person id (or service account), resource, action, each spelled by
`casbin_name`. Nobody is allowed anything that a rule does not allow, and a rule that denies wins.

**Casbin decides** whom a clause fits and what follows. A role's match and `for_each`, `applies_to`, `only`, and the
matches of lifecycle and sponsors are conditions over facts of one assignment, in rules that ask for facts to be there
and not to be there (the match multiplied out), with *unknown* as a fact of its own. It follows links from a value to
the paths of a tree above it, to its rank, from a rank to a range, and from resources to what a role gives, to classes
and to compartments. It decides which requirements are met by the proofs there are, which of a list of lifecycle rules
comes first, which ceiling, lockout, lapsed sponsor or separation stands against which permission, and what an
overlap's ceiling lets through.

**Facts** are what records and calendar say at the moment, worked out here by a reading of their own: which
assignments count or still overlap, their values, the states and whether a rule of `leave` has begun; which proofs are
valid; whether somebody answers for an assignment (the sponsor is another person, so that `must` and `lapse` are read
here), and whether an assignment has an end; which members, exceptions, lockouts and service accounts are live.
Resources past their last day are left out. Inheritance of roles and the class of a permission (the highest of what
shares its entitlements) are the policy's, and are written out. An assignment is told from the person's others by its
slot, ``post 1``, ``post 2``, and a rule stands once for each slot.
"""

from __future__ import annotations

from reconciler.access.casbin.export import AmbiguousSubject, CasbinFiles, casbin_export
from reconciler.access.casbin.names import casbin_name

__all__ = ["AmbiguousSubject", "CasbinFiles", "casbin_export", "casbin_name"]
