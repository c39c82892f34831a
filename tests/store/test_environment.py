"""The description says what changes numbers, and nothing that tells whose machine it was."""

from __future__ import annotations

import platform
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from spectral_edge.store import describe_environment
from spectral_edge.store import environment as environment_room
from spectral_edge.store.strict_json import encode_json


def test_environment_is_plain_json_without_host_name_or_path() -> None:
    text = encode_json(describe_environment(), Path("environment.json")).decode()
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert str(Path(__file__).parents[2]) not in text


def test_environment_reports_this_process() -> None:
    described = describe_environment()
    assert described["torch"] == torch.__version__
    assert described["python"] == platform.python_version()
    assert described["torch_threads"] == torch.get_num_threads()
    assert described["deterministic"] is False


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.setattr(environment_room, "_PACKAGE", folder)
    return folder


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_git_commit_is_null_outside_a_checkout(package: Path) -> None:
    assert describe_environment()["git_commit"] is None
    _git(package.parent, "init")
    _git(package.parent, "commit", "--allow-empty", "-m", "around a virtual environment, say")
    assert describe_environment()["git_commit"] is None


def test_git_commit_is_that_of_the_checkout_and_edits_show(package: Path) -> None:
    _git(package.parent, "init")
    _git(package.parent, "add", ".")
    _git(package.parent, "commit", "-m", "first")
    described = describe_environment()
    assert described["git_commit"] == _git(package.parent, "rev-parse", "HEAD")
    assert described["git_modified"] is False
    (package / "__init__.py").write_text("x = 1\n")
    assert describe_environment()["git_modified"] is True
