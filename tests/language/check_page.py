"""The page on language models, from the first block to the last, and the pages of tokens that it writes."""

import subprocess

from support.pages import ROOT, blocks, run_python

PAGE = ROOT / "docs" / "language.md"


def test_every_block_runs_and_the_page_of_tokens_can_be_looked_at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_python(["\n".join(blocks(PAGE, "python"))], tmp_path)  # one session
    said = capsys.readouterr().out
    for name in ("signed", "displacement+edge", "gain", "kind of token", "one function", "isotropic"):
        assert name in said
    shot = tmp_path / "tokens.png"
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,700"]
    subprocess.run(
        [*browser, f"--screenshot={shot}", (tmp_path / "tokens.html").as_uri()],
        check=True,
        timeout=120,
        capture_output=True,
    )
    assert shot.stat().st_size > 20_000
