"""``spectral-edge serve``: what it prints, and what it says when it cannot begin."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from spectral_edge.cli import main


def test_it_prints_an_address_that_answers_here_and_ends_when_told(tmp_path):
    command = [sys.executable, "-m", "spectral_edge.cli", "serve", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = json.loads(process.stdout.readline())["address"]
            assert address.startswith("http://127.0.0.1:")
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert b"spectral-edge" in opener.open(address).read()
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(address.partition("?")[0])
        finally:
            process.terminate()
        assert process.wait(timeout=20) in (0, -15)


def test_ctrl_c_ends_it_without_a_word_also_while_a_page_is_open(tmp_path):
    command = [sys.executable, "-m", "spectral_edge.cli", "serve", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = json.loads(process.stdout.readline())["address"]
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            opener.open(address).read()
            events = opener.open(f"{address.partition('?')[0]}api/events")
            assert events.readline() == b"event: change\n"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def test_a_directory_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: there is no such directory" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("spectral_edge.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(tmp_path)]) == 1
    assert "pip install 'spectral-edge[serve]'" in capsys.readouterr().err


def test_a_port_that_is_none_is_one_line(tmp_path, capsys):
    assert main(["serve", str(tmp_path), "--port", "99999"]) == 1
    assert "--port 99999" in capsys.readouterr().err


def test_an_address_in_use_is_one_line(tmp_path, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 1
    assert "in use" in capsys.readouterr().err
