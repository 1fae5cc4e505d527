"""Filters are found by catalogue name, by other packages' entry points, and by ``module:Class``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import extproc_filters
from extproc import ConfigError
from extproc.config import find_filter, load_chain

ACME = "from extproc import Filter\nclass Tagger(Filter): pass\n"


def install(site: Path, package: str, points: str) -> None:
    """What pip leaves behind for a package with entry points."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[extproc.filters]\n{points}\n")
    (site / f"{package}.py").write_text(ACME)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that Python takes for one with installed packages."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name in ("acme_tags", "bolt_tags"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ab_tag", extproc_filters.AbTag),
        ("api_key", extproc_filters.ApiKey),
        ("headers", extproc_filters.EditHeaders),
        ("rate_limit", extproc_filters.RateLimit),
        ("extproc_filters:ApiKey", extproc_filters.ApiKey),
        ("extproc_filters.api_key:ApiKey", extproc_filters.ApiKey),
    ],
)
def test_the_catalogue_is_found(name: str, kind: type) -> None:
    assert find_filter(name) is kind


def test_other_packages_can_offer_filters(site: Path) -> None:
    install(site, "acme_tags", "acme_tag = acme_tags:Tagger")
    assert find_filter("acme_tag").__module__ == "acme_tags"


def test_a_name_that_two_packages_offer_is_refused(site: Path) -> None:
    install(site, "acme_tags", "tag = acme_tags:Tagger")
    install(site, "bolt_tags", "tag = bolt_tags:Tagger")
    with pytest.raises(ConfigError, match=r"acme_tags \(acme_tags:Tagger\) and bolt_tags .*: say which"):
        find_filter("tag")


def test_nobody_takes_a_catalogue_name_over_unnoticed(site: Path) -> None:
    install(site, "acme_tags", "api_key = acme_tags:Tagger")
    with pytest.raises(ConfigError, match="'api_key' is offered by"):
        find_filter("api_key")


def test_an_entry_point_that_leads_nowhere_is_said_to(site: Path) -> None:
    install(site, "acme_tags", "tag = acme_tags:Tager")
    with pytest.raises(ConfigError, match="acme_tags has no 'Tager': did you mean 'Tagger'"):
        find_filter("tag")


def test_the_nearest_name_is_that_of_another_package_too(site: Path) -> None:
    install(site, "acme_tags", "acme_tag = acme_tags:Tagger")
    with pytest.raises(ConfigError, match="unknown filter 'acme-tga': did you mean 'acme_tag'"):
        find_filter("acme-tga")


@pytest.mark.parametrize("use", ["..:x", "a b:c", "x:", ":x", "1a:b", "a:b:c", "a..b:c", "api_key ", "\0:x"])
def test_what_is_no_name_is_an_unknown_filter(use: str) -> None:
    with pytest.raises(ConfigError, match="unknown filter"):
        find_filter(use)


def version(folder: Path, word: str) -> Path:
    """A version of a project: a chain, a filter and what it imports, also as late as when it is asked."""
    folder.mkdir()
    (folder / "vocabulary_of_versions.py").write_text(f"WORD = {word!r}\n")
    (folder / "filter_of_versions.py").write_text(
        "from vocabulary_of_versions import WORD\n"
        "from extproc import Filter\n"
        "class Versioned(Filter):\n"
        "    word: str = WORD\n"
        "    def later(self):\n"
        "        import late_of_versions\n"
        "        return late_of_versions.WORD\n"
    )
    (folder / "late_of_versions.py").write_text(f"WORD = {'late ' + word!r}\n")
    (folder / "chain.yaml").write_text("filters:\n  - use: filter_of_versions:Versioned\n")
    return folder / "chain.yaml"


def test_two_versions_of_a_project_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison of two chains would else find that nothing has changed."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    old, new = version(tmp_path / "old", "old"), version(tmp_path / "new", "new")
    words = [load_chain(file).links[0].filter.model_dump()["word"] for file in (old, new, old)]
    assert words == ["old", "new", "old"]


def test_a_filter_may_import_its_neighbours_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (link,) = load_chain(version(tmp_path / "one", "one")).links
    assert link.filter.later() == "late one"  # type: ignore[attr-defined]


def test_one_module_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imports a filter's module gets the class that the chain uses."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = version(tmp_path / "one", "one")
    kinds = {type(load_chain(file).links[0].filter) for _ in range(2)}
    assert kinds == {find_filter("filter_of_versions:Versioned", tmp_path / "one")}


def test_no_neighbour_takes_the_place_of_python_or_of_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {name: sys.modules[name] for name in ("json", "extproc", "extproc.chain", "__main__")}
    for name in ("json", "extproc", "__main__"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit\n")
    (tmp_path / "chain.yaml").write_text("filters:\n  - use: json:Filter\n  - use: extproc:Filter\n")
    with pytest.raises(ConfigError, match="json has no 'Filter'"):
        load_chain(tmp_path / "chain.yaml")
    assert {name: sys.modules[name] for name in before} == before


def test_a_package_without_init_beside_the_chain_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_own_filters").mkdir()
    (tmp_path / "my_own_filters" / "tagger.py").write_text(ACME)
    assert find_filter("my_own_filters.tagger:Tagger", tmp_path).__name__ == "Tagger"
