"""Content identifiers of entries, as the directory's manual defines them.

Written apart from the product's own, of which it is a witness: neither may import the other.
"""

import hashlib
import hmac

KEY_TYPES = ("CPF", "CNPJ", "PHONE", "EMAIL", "EVP")
#: The verifier of no entries.
EMPTY = bytes(32)


def cid_of(
    request_id: bytes,
    *,
    key_type: str,
    key: str,
    tax_id: str,
    name: str,
    trade_name: str,
    participant: str,
    branch: str,
    number: str,
    account_type: str,
) -> bytes:
    """Return the 32 bytes; every value exactly as it was sent, an absent one as nothing.

    `request_id`: the 16 bytes of the request that created the entry.
    """
    values = (key_type, key, tax_id, name, trade_name, participant, branch, number, account_type)
    return hmac.digest(request_id, "&".join(values).encode(), hashlib.sha256)


def request_bytes(request_id: str) -> bytes:
    """Return the bytes of a request id, the most significant first."""
    return bytes.fromhex(request_id.replace("-", ""))


def xor(first: bytes, second: bytes) -> bytes:
    """Return what a verifier becomes when a CID comes or goes: both are the same."""
    return (int.from_bytes(first) ^ int.from_bytes(second)).to_bytes(32)
