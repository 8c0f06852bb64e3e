"""Check an export of the ledger without the program that made it: python3 verify_ledger.py ledger.jsonl

Needs nothing but Python. Where the package `cryptography` is installed, the signatures of checkpoints are checked, too.
The format is described in docs/ledger-format.md.
"""

import hashlib
import hmac
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def require(holds: bool, words: str) -> None:
    """End with these words where something does not hold."""
    if not holds:
        sys.exit(words)


def canonical(value: Any) -> bytes:
    """RFC 8785, for texts, whole numbers and nulls under ASCII names."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def signature_fits(checkpoint: dict[str, Any]) -> bool:
    """Whether it does; also where nobody can tell here."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return True
    said = {name: value for name, value in checkpoint.items() if name != "signature"}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint["public_key"]))
    try:
        key.verify(bytes.fromhex(checkpoint["signature"]), canonical(said))
    except InvalidSignature:
        return False
    return True


def verify(file: Iterable[str]) -> str:
    """What the export holds, once all of it is checked."""
    lines = map(json.loads, file)
    header = next(lines)
    require(header["format"] == "reconciler.ledger/1", "this is no export of a ledger")
    seq, previous, ended = header["from"], header["previous"], None
    keys: dict[str, bytes] = {}
    digests: dict[int, str] = {}
    missing, erased = set(), set()
    for line in lines:
        if "key" in line:
            keys[line["subject"]] = bytes.fromhex(line["key"])
        elif "entry" in line:
            entry, payload = line["entry"], line["payload"]
            require((entry["seq"], entry["previous"]) == (seq, previous), f"entry {seq}: the chain is broken")
            require(hashlib.sha256(canonical(entry)).hexdigest() == line["digest"], f"entry {seq}: header altered")
            if payload is None:
                missing.add(seq)
            elif header["keys"]:
                keyed = hmac.digest(keys[entry["subject"]], payload.encode(), "sha256").hex()
                require(keyed == entry["payload_digest"], f"entry {seq}: payload altered")
            if entry["kind"] == "erased" and payload is not None:
                erased.update(number for number in json.loads(payload)["entries"] if number < seq)
            digests[seq], previous, seq = line["digest"], line["digest"], seq + 1
        elif "checkpoint" in line:
            checkpoint = line["checkpoint"]
            attested = digests.get(checkpoint["seq"]) == checkpoint["digest"]
            require(attested, f"a checkpoint attests another record, at entry {checkpoint['seq']}")
            require(signature_fits(checkpoint), "the signature of a checkpoint is wrong")
        else:
            ended = line["to"]
    require(ended == seq - 1, "the file is cut off")
    require(missing <= erased, f"entries {sorted(missing - erased)}: payload missing, and no entry erased it")
    return f"{len(digests)} entries, head {previous}"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as export:
        print(verify(export))
