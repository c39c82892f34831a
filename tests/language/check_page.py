"""The page on language models, from the first block to the last, and the pages of tokens that it writes."""

import json
import shutil
import subprocess

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

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
    _the_keyboard_reads_tokens(tmp_path / "tokens.html")


def _the_keyboard_reads_tokens(path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(color_scheme="dark").new_page()
        page.goto(path.as_uri())
        found = Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
        page.locator("#quantity").focus()
        for key in ("Tab", "ArrowRight", "ArrowRight", "ArrowLeft"):
            page.keyboard.press(key)
        numbers = json.loads(page.locator("#numbers").text_content())
        first = numbers["log_probability"][0][0]
        assert f"log p {first:.2f}"[:9] in page.locator("#reading").inner_text()
        browser.close()
