"""What a real server may put in the way of reading: rights, referrals, an expired certificate. Each is told in words
that say which and what to do, and what was read in part is never taken for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.ldap import LdapTarget
from reconciler.targets import Reading, TargetError, TargetUnavailable
from reconciler.testing.targets import GROUPS, PEOPLE, entitlement, observe, seen
from tests.adapters.directory_lab import context
from tests.adapters.test_ldap_contract import LdapLab
from tests.servers.slapd import SUFFIX, required, started

US = f'by dn.exact="cn=reconciler,{SUFFIX}"'


@contextmanager
def lab_under(folder: Path, rules: str) -> Iterator[LdapLab]:
    """A lab on a server of its own, with further lines of slapd.conf before all others."""
    required()
    with started(folder, limits=rules) as server:
        yield LdapLab(server, PEOPLE, GROUPS)


def test_a_group_that_may_not_be_read_fails_alone_and_is_not_empty(tmp_path: Path) -> None:
    with lab_under(tmp_path, f'access to dn.regex="^cn=docs-readers," {US} none by users read') as lab:
        hidden, read = (entitlement(observe(lab, group)) for group in ("docs-readers", "核心算法"))

        assert hidden.reading is Reading.FAILED
        assert "no group named DOCS-READERS" in hidden.detail
        assert read.reading is Reading.COMPLETE


def test_members_that_may_not_be_read_are_not_absent(tmp_path: Path) -> None:
    with lab_under(tmp_path, f"access to attrs=member {US} none by users read") as lab:
        read = entitlement(observe(lab, "docs-readers"))

        assert read.reading is Reading.PARTIAL
        assert "may it be read at all" in read.detail


def test_accounts_that_may_not_be_read_make_nobody_foreign(tmp_path: Path) -> None:
    with lab_under(tmp_path, f'access to dn.regex="^cn=Smith.*,ou=people" {US} none by users read') as lab:
        observation = observe(lab, "docs-readers")

        # Nothing on the wire tells a hidden entry from one that is not there: so whom it belongs to is a foreigner's
        # name, which no plan takes away unless the target says that it may.
        assert seen(observation) == {"zhang"}
        assert len(entitlement(observation).foreign) == 1


def test_many_accounts_without_a_readable_key_are_one_finding(tmp_path: Path) -> None:
    with lab_under(tmp_path, f"access to attrs=entryUUID {US} none by users read") as lab:
        few = [each.kind for each in observe(lab, "docs-readers").findings]
        more = "\n".join(f"dn: uid=m{n},ou=people,{lab.branch}\nobjectClass: account\nuid: m{n}\n" for n in range(6))
        lab.server.add(more)
        observation = observe(lab, "docs-readers")

        assert few == ["unreadable-account"] * len(PEOPLE)
        [found] = observation.findings
        assert f"{len(PEOPLE) + 6} accounts" in found.text
        assert observation.accounts.reading is Reading.PARTIAL


def test_b2_a_group_that_a_limit_keeps_back_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """The limit is on what a server may look at, which a search for one group can exceed."""
    with lab_under(tmp_path, f'limits dn.exact="cn=reconciler,{SUFFIX}" size.unchecked=1') as lab:
        other = f"ou=more,ou=groups,{lab.branch}"
        group = f"dn: cn=docs-readers,{other}\nobjectClass: groupOfNames\ncn: docs-readers\nmember: cn=x\n"
        lab.server.add(f"dn: {other}\nobjectClass: organizationalUnit\nou: more\n\n{group}")
        read = entitlement(observe(lab, "docs-readers"))

        assert read.reading is Reading.FAILED
        assert "adminLimitExceeded" in read.detail
        assert "create it" not in read.detail


def test_a_part_on_another_server_is_not_asked_and_makes_the_reading_partial(tmp_path: Path) -> None:
    with lab_under(tmp_path, "") as lab:
        entry = (
            f"dn: ou=branch,ou=people,{lab.branch}\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\n"
            f"ref: ldap://127.0.0.1:1/ou=branch,ou=people,{lab.branch}\n"
        )
        lab.server.run("ldapadd", "-M", entries=entry)

        observation = observe(lab, "docs-readers")

        assert observation.accounts.reading is Reading.PARTIAL
        assert "another server, which is not asked: ldap://127.0.0.1:1/" in observation.accounts.detail
        assert entitlement(observation).reading is Reading.PARTIAL


def test_a_base_on_another_server_is_an_error_that_names_it(tmp_path: Path) -> None:
    with lab_under(tmp_path, "referral ldap://127.0.0.1:1/") as lab:
        people = {"base": "ou=people,dc=elsewhere,dc=org", "match": {"employeeNumber": "id"}}

        with pytest.raises(TargetError, match=r"referral.*ldap://127\.0\.0\.1:1/"):
            LdapTarget(context(Path()), {**lab.settings, "people": people}).observe([])


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    expired_certificates(tmp_path)
    with lab_under(tmp_path, "") as lab:
        settings = {**lab.settings, "url": lab.server.tls_url, "tls": "ldaps", "ca": str(lab.server.ca)}

        with pytest.raises(TargetError, match="not to be trusted: certificate has expired") as caught:
            LdapTarget(context(tmp_path), settings).observe([])
        assert not isinstance(caught.value, TargetUnavailable)
        assert "renewed" in caught.value.remedy
        assert "`ca`" not in caught.value.remedy, "another CA would not help"


def expired_certificates(folder: Path) -> None:
    """What a server's folder holds, valid until yesterday."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Test CA", "127.0.0.1"))
    made = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(yesterday - timedelta(days=9))
    authority = (
        made.subject_name(issuer)
        .public_key(ca_key.public_key())
        .serial_number(1)
        .not_valid_after(yesterday + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        made.subject_name(subject)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_after(yesterday)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in (
        ("ca.pem", authority.public_bytes(pem)),
        ("server.pem", server.public_bytes(pem)),
        ("server.key", private),
    ):
        (folder / name).write_bytes(content)
