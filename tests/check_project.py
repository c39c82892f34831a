"""What a stranger and a maintainer meet: workflows, forms, the citation, distributions."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from support.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def ran(*command, cwd=ROOT):
    done = subprocess.run([sys.executable, "-m", *map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/*.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_files_for_others_follow_their_published_schema(schema, pattern):
    files = sorted(ROOT.glob(pattern))
    assert files
    ran("check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_the_hooks_are_valid():
    ran("pre_commit", "validate-config", ROOT / ".pre-commit-config.yaml")


def test_workflows_run_every_version_that_is_declared():
    versions = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    said = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/tests.yml").read_text()).group(1)
    assert [version.strip(' "') for version in said.split(",")] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize("version", ["py311", "py314"])
def test_the_syntax_is_that_of_every_declared_version(version):
    ran("ruff", "check", "--isolated", "--select", "E9", "--target-version", version, "src", "tests", "examples")


def test_the_citation_has_the_version():
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()


def test_contributing_leads_to_headings_that_are_there():
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "extending.md").read_text(), flags=re.M)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    linked = set(re.findall(r"docs/extending\.md#([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert linked == anchors


def test_distributions_are_what_an_index_takes(tmp_path):
    ran("build", "--outdir", tmp_path, ROOT)
    source, wheel = sorted(tmp_path.iterdir(), key=lambda path: path.suffix)
    ran("twine", "check", "--strict", source, wheel)
    with tarfile.open(source) as archive, zipfile.ZipFile(wheel) as other:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        assert {"LICENSE", "README.md", "pyproject.toml", "src/spectral_edge/__init__.py"} <= names
        assert "spectral_edge/replication/decision/claims.json" in other.namelist()
    assert source.stat().st_size < 30e6
    assert wheel.stat().st_size < 5e6
