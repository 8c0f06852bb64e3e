"""A provider in its bad days: each thing that goes wrong says which it is and what to do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from adapters.scim import ScimTarget
from adapters.scim.session import opened
from adapters.scim.settings import endpoint_of, scim_settings
from reconciler.targets import Reading, TargetError, TargetUnavailable
from tests.adapters.scim.lab import ProxiedLab, context, settings_for
from tests.servers.hr_api import Reply, certified, text_reply
from tests.servers.scim import TOKEN
from tests.servers.scim_proxy import error, json_reply, standing_between

HTML = "<!DOCTYPE html><html><head><title>Sign in · 登录</title></head><body>…</body></html>"


def refusal(lab: ProxiedLab) -> TargetError:
    with pytest.raises(TargetError) as caught:
        lab.observe("docs-readers")
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value)
    assert lab.proxy.url in caught.value.message
    assert caught.value.remedy
    return caught.value


ANSWERS = {
    "401": (error(401, f"no such token {TOKEN}"), "does not accept the token", "auth"),
    "403": (error(403, "no"), "may not do that", "right to provision"),
    "404": (error(404, "what?"), "nothing at this address", "/scim/v2"),
    "a page for browsers with 200": (text_reply(HTML), "titled “Sign in · 登录”", "url"),
    "an error with 200": (json_reply({"detail": "我不愿意", "status": "400"}), "totalResults", "url"),
    "a list in the place of a resource": (text_reply("[1, 2]"), "no SCIM resource", "url"),
    "resources that are none": (json_reply({"totalResults": 1, "Resources": ["x"]}), "no list of resources", "url"),
    "no JSON": (text_reply('{"totalResults": 1, "Resources": ['), "not JSON", "ask"),
    "nothing": (text_reply(""), "empty", "ask"),
    "another server": (Reply(302, headers={"Location": "https://evil.example.com/scim"}), "evil.example.com", "url"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_says_what_it_is(lab: ProxiedLab, name: str) -> None:
    reply, said, remedy = ANSWERS[name]
    lab.proxy.always("GET", "/Users", reply)

    caught = refusal(lab)

    assert not isinstance(caught, TargetUnavailable)
    assert said in caught.message
    assert remedy in str(caught.remedy)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a2_what_passes_is_tried_again_and_otherwise_told_as_such(lab: ProxiedLab, status: int) -> None:
    lab.configured(retry={"attempts": 3})
    trouble = error(status, "busy", Retry_After="2")
    lab.proxy.once("GET", "/Users", trouble, trouble)
    assert lab.observe("docs-readers").accounts.reading is Reading.COMPLETE

    lab.proxy.always("GET", "/Users", trouble)
    caught = refusal(lab)

    assert isinstance(caught, TargetUnavailable)
    assert caught.retry_after == 2.0
    assert str(status) in caught.message


def test_the_token_goes_to_nobody_else(lab: ProxiedLab) -> None:
    with standing_between(lab.lab.tenant.url) as elsewhere:
        lab.proxy.always("GET", "/Users", Reply(307, headers={"Location": f"{elsewhere.url}/Users"}))

        assert "credentials are not taken there" in refusal(lab).message
        assert elsewhere.asked == []


def test_a_change_is_not_sent_where_it_is_redirected_to(lab: ProxiedLab) -> None:
    lab.proxy.always("PATCH", "/Groups", Reply(308, headers={"Location": f"{lab.proxy.url}/Elsewhere"}))

    [outcome] = lab.apply(lab.grant("plain", "docs-readers"))

    assert outcome.kind == "refused"
    assert "redirects" in outcome.detail


def test_a_huge_page_is_not_read_to_its_end(lab: ProxiedLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.api.client._LARGEST", 1 << 16)
    lab.configured(retry={"attempts": 1})
    lab.proxy.always("GET", "/Users", Reply(200, b'{"Resources": [' + b" " * (1 << 20)))

    assert "larger than" in refusal(lab).message


def test_members_that_are_none_make_the_groups_unreadable_and_nobody_a_leaver(lab: ProxiedLab) -> None:
    group = {"id": "1", "displayName": "docs-readers", "members": [{"display": "no value"}]}
    lab.proxy.always("GET", "/Groups", json_reply({"totalResults": 1, "Resources": [group]}))

    read = lab.read("docs-readers")

    assert read.reading is Reading.FAILED
    assert "no list of values" in read.detail


def test_a_provider_that_is_not_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = ScimTarget(
            context(), settings_for(f"http://127.0.0.1:{probe.getsockname()[1]}/v2", retry={"attempts": 1})
        )
        with pytest.raises(TargetUnavailable, match="Connection refused"):
            target.observe([])


@pytest.mark.parametrize(
    ("how", "said"),
    [("own", "self-signed"), ("expired", "expired"), ("other-host", "doesn't match|not valid for|mismatch")],
)
def test_a_certificate_that_is_not_to_be_trusted_says_why(lab: ProxiedLab, tmp_path: Path, how: str, said: str) -> None:
    certificate = certified(
        tmp_path, expired=how == "expired", host="192.0.2.1" if how == "other-host" else "127.0.0.1"
    )
    with standing_between(lab.lab.tenant.url, certificate) as proxy:
        more: dict[str, object] = {} if how == "own" else {"ca": str(certificate)}
        target = ScimTarget(context(), settings_for(proxy.url, **more))

        with pytest.raises(TargetError, match=f"certificate is not to be trusted.*({said})") as caught:
            target.observe([])

        assert not isinstance(caught.value, TargetUnavailable)
        assert "ca" in str(caught.value.remedy)
        assert proxy.asked == []


def test_a_certificate_of_ones_own_authority_is_trusted_where_the_settings_name_it(
    lab: ProxiedLab, tmp_path: Path
) -> None:
    certificate = certified(tmp_path)
    with standing_between(lab.lab.tenant.url, certificate) as proxy:
        target = ScimTarget(context(tmp_path), settings_for(proxy.url, ca=certificate.name))

        assert len(target.observe([]).accounts.accounts) == 4
        assert target.probe() == ()


def test_f1_what_observes_cannot_write_whatever_it_is_told(lab: ProxiedLab) -> None:
    endpoint = endpoint_of(scim_settings(settings_for(lab.proxy.url), context()), Path())
    before = lab.lab.picture()

    with opened(endpoint) as session:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(RuntimeError, match="may not send it"):
                session.send(method, f"/Groups/{lab.lab.groups['docs-readers']}", {})

    assert lab.proxy.asked == []
    assert lab.lab.picture() == before


def test_doctor_reads_both_lists_and_changes_nothing(lab: ProxiedLab) -> None:
    assert lab.target.probe() == ()
    assert lab.proxy.counted() == lab.proxy.counted("GET")
    assert {asked.path for asked in lab.proxy.asked} == {"/ServiceProviderConfig", "/Users", "/Groups"}

    lab.proxy.always("GET", "/Groups", json_reply({"hello": "world"}))
    with pytest.raises(TargetError, match="something else than a list"):
        lab.target.probe()


def test_doctor_says_what_is_not_offered_unless_that_is_known(lab: ProxiedLab) -> None:
    lab.proxy.always("GET", "/ServiceProviderConfig", json_reply({"patch": {"supported": True}}))

    [finding] = lab.target.probe()

    assert finding.kind == "missing-feature"
    assert "filter, etag, bulk" in finding.text
    assert lab.configured(without=["filter", "etag", "bulk"]).probe() == ()


def test_a_token_that_is_wrong_is_told(lab: ProxiedLab) -> None:
    target = ScimTarget(context(), settings_for(lab.lab.tenant.url) | {"auth": {"bearer": "wr0ng"}})

    with pytest.raises(TargetError, match=r"401.*does not accept the token") as caught:
        target.probe()

    assert "wr0ng" not in json.dumps(str(caught.value))
