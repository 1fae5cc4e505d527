"""From edited headers to the mutation that makes Envoy's copy equal to ours."""

from __future__ import annotations

from extproc.messages import HeaderEdit, RawHeaders

__all__ = ["header_mutation"]

_NONE: tuple[tuple[HeaderEdit, ...], tuple[str, ...]] = ((), ())


def header_mutation(before: RawHeaders, after: RawHeaders) -> tuple[tuple[HeaderEdit, ...], tuple[str, ...]]:
    """What to set and what to remove so that `before`, at Envoy, becomes `after`.

    Names keep the values Envoy has where they did not change; added occurrences are appended, anything else replaces
    all occurrences at once. Adding, overwriting and "only if absent" are settled here, from what we have seen, because
    Envoy's ext_proc ignores ``append_action``.
    """
    if before is after:
        return _NONE
    if after[: len(before)] == before:
        return _additions(before, after[len(before) :]), ()
    touched = _touched(before, after)
    old = _by_name([item for item in before if item[0] in touched])
    new = _by_name([item for item in after if item[0] in touched])
    edits: list[HeaderEdit] = []
    for name, values in new.items():
        had = old.get(name, [])
        if values == had:
            continue
        kept = len(had) if values[: len(had)] == had else 0
        edits += [HeaderEdit(name, value, append=kept + i > 0) for i, value in enumerate(values[kept:])]
    return tuple(edits), tuple(name for name in old if name not in new)


def _additions(before: RawHeaders, added: RawHeaders) -> tuple[HeaderEdit, ...]:
    seen = dict(before)
    edits: list[HeaderEdit] = []
    for name, value in added:
        edits.append(HeaderEdit(name, value, name in seen))
        seen[name] = value
    return tuple(edits)


def _touched(before: RawHeaders, after: RawHeaders) -> set[str]:
    """The names that are to be compared: of all others, each occurrence is what it was, in the order in which it was.

    It walks through both in step and takes note of where they differ, so that it costs little where few headers change.
    """
    touched: set[str] = set()
    at, end = 0, len(after)
    for item in before:
        if at < end and (item is after[at] or item == after[at]):
            at += 1
        else:
            touched.add(item[0])
            at += at < end and after[at][0] == item[0]  # another value in its place
    touched.update(name for name, _ in after[at:])
    return touched


def _by_name(headers: RawHeaders) -> dict[str, list[bytes]]:
    grouped: dict[str, list[bytes]] = {}
    for name, value in headers:
        grouped.setdefault(name, []).append(value)
    return grouped
