"""Check an export of the ledger without the program that made it: python3 verify_ledger.py ledger.jsonl

Needs nothing but Python. Where the package `cryptography` is installed, the signatures of checkpoints are checked, too.
The format is described in docs/ledger-format.md.
"""

import hashlib
import hmac
import json
import sys


def canonical(value):
    """RFC 8785, for texts, whole numbers and nulls under ASCII names."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def signature_fits(checkpoint):
    """None where nobody can tell here."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return None
    said = {name: value for name, value in checkpoint.items() if name != "signature"}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint["public_key"]))
    try:
        key.verify(bytes.fromhex(checkpoint["signature"]), canonical(said))
    except InvalidSignature:
        return False
    return True


def verify(lines):
    lines = map(json.loads, lines)
    header = next(lines)
    assert header["format"] == "reconciler.ledger/1", "this is no export of a ledger"
    seq, previous, keys, digests, missing, erased, ended = header["from"], header["previous"], {}, {}, set(), set(), None
    for line in lines:
        if "key" in line:
            keys[line["subject"]] = bytes.fromhex(line["key"])
        elif "entry" in line:
            entry, payload = line["entry"], line["payload"]
            assert entry["seq"] == seq and entry["previous"] == previous, f"entry {seq}: the chain is broken"
            assert hashlib.sha256(canonical(entry)).hexdigest() == line["digest"], f"entry {seq}: header altered"
            if payload is None:
                missing.add(seq)
            elif header["keys"]:
                keyed = hmac.digest(keys[entry["subject"]], payload.encode(), "sha256").hex()
                assert keyed == entry["payload_digest"], f"entry {seq}: payload altered"
            if entry["kind"] == "erased" and payload is not None:
                erased.update(number for number in json.loads(payload)["entries"] if number < seq)
            digests[seq], previous, seq = line["digest"], line["digest"], seq + 1
        elif "checkpoint" in line:
            checkpoint = line["checkpoint"]
            assert digests.get(checkpoint["seq"]) == checkpoint["digest"], "a checkpoint attests another record"
            assert signature_fits(checkpoint) is not False, "the signature of a checkpoint is wrong"
        else:
            ended = line["to"]
    assert ended == seq - 1, "the file is cut off"
    assert missing <= erased, f"entries {sorted(missing - erased)}: payload missing, and no entry says it was erased"
    return f"{len(digests)} entries, head {previous}"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(verify(file))
