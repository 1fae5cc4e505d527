"""Group `hpack`: header blocks that must not be decoded."""

from __future__ import annotations

from tests.server.conformance.script import Case, Fails, case
from tests.server.raw.frames import Code, Setting, block, headers, integer
from tests.server.raw.peer import Peer
from tests.server.raw.requests import plain_fields

_GET = block(plain_fields())
_X_TEST = bytes.fromhex("0085f2b24a84ff")  # a literal with this name in Huffman code; its value follows
_DEFAULT_TABLE_SIZE = 4096


def _undecodable(number: str, rule: str, end_of_block: bytes) -> Case:
    return case(f"hpack/{number}", f"RFC 7541 {rule}", headers(1, _GET + end_of_block), Fails(Code.COMPRESSION_ERROR))


def _over_the_table(peer: Peer) -> bytes:
    size = peer.settings.get(Setting.HEADER_TABLE_SIZE, _DEFAULT_TABLE_SIZE) + 1
    return headers(1, integer(size, 5, 0x20) + _GET)


CASES = [
    _undecodable("2.3.3/1", "2.3.3: an index past both tables, of a field", integer(70, 7, 0x80)),
    _undecodable("2.3.3/2", "2.3.3: an index past both tables, of a name", integer(70, 6, 0x40) + b"\0"),
    _undecodable("4.2/1", "4.2: a size update is at the beginning of a block", integer(1, 5, 0x20)),
    _undecodable("5.2/1", "5.2: padding is shorter than 8 bits", _X_TEST + bytes.fromhex("8449509fff")),
    _undecodable("5.2/2", "5.2: padding is ones", _X_TEST + bytes.fromhex("83495090")),
    _undecodable("5.2/3", "5.2: no EOS within a string", _X_TEST + bytes.fromhex("874951fffffffa7f")),
    _undecodable("6.1/1", "6.1: there is no index 0", b"\x80"),
    case(
        "hpack/6.3/1",
        "RFC 7541 6.3: the table is no larger than announced",
        _over_the_table,
        Fails(Code.COMPRESSION_ERROR),
    ),
]
