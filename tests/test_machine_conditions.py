"""Which filters take part in an exchange: conditions, when they are judged, and on what."""

from __future__ import annotations

from extproc import Chain, Use
from extproc.answers import UNCHANGED
from tests.acting import acting, with_every_hook
from tests.envoy_side import EVERY_PHASE, go, request, response


def by_path(log: list[str], path: str, *, name: str = "guard") -> Use:
    return Use(with_every_hook(name, log).filter, name=name, when={"path": path})


def test_a_filter_whose_condition_holds_takes_part_in_every_phase() -> None:
    log: list[str] = []
    go(Chain([by_path(log, "/api/**")]), request(path="/api/x"), response())
    assert log == [
        "guard request_headers",
        "guard request_body",
        "guard response_headers",
        "guard response_body",
        "guard end",
    ]


def test_a_filter_whose_condition_does_not_hold_takes_no_part_at_all() -> None:
    log: list[str] = []
    _, answers = go(Chain([by_path(log, "/api/**")]), *EVERY_PHASE)
    assert log == []
    assert all(answer is UNCHANGED[answer.phase] for answer in answers)


def test_a_condition_is_judged_on_the_request_as_it_stands_at_the_filters_turn() -> None:
    log: list[str] = []
    rewrite = acting(on_request_headers=lambda x: setattr(x.request, "path", "/b"))
    chain = Chain(
        [by_path(log, "/a", name="a"), rewrite, by_path(log, "/b", name="b"), by_path(log, "/a", name="late")]
    )
    go(chain, request(path="/a"))
    assert log == ["a request_headers", "b request_headers", "a request_body", "b request_body", "a end", "b end"]


def test_a_condition_without_a_hook_for_the_request_is_judged_all_the_same() -> None:
    log: list[str] = []
    quiet = acting(on_response_headers=lambda x: log.append(x.request.path))
    chain = Chain([Use(quiet, when={"path": "/a"})])
    for path in ("/a", "/b"):
        go(chain, request(path=path), response())
    assert log == ["/a"]


def test_a_condition_is_judged_anew_in_every_exchange() -> None:
    log: list[str] = []
    chain = Chain([by_path(log, "/a")])
    for path in ("/a", "/b", "/a"):
        go(chain, request(path=path, end=False))
    assert log == ["guard request_headers", "guard end"] * 2


def test_a_response_without_a_request_meets_only_the_unconditional_filters() -> None:
    """Envoy made it by itself, before it asked about the request."""
    log: list[str] = []
    chain = Chain(
        [
            with_every_hook("always", log),
            by_path(log, "**"),
            Use(with_every_hook("not", log).filter, name="not", when={"not": {"path": "/a"}}),
        ]
    )
    machine, answers = go(chain, *EVERY_PHASE[3:])
    assert log == [*(f"always {message.phase.value}" for message in EVERY_PHASE[3:]), "always end"]
    assert machine.exchange.request.method == ""
    assert len(answers) == 3
