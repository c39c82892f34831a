"""The modes explorer and the film in a real browser."""

import io
import re
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from playwright.sync_api import expect

from support.serve_browser import ADD, CHROMIUM, PLOT, settle, wait_for

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium; CI installs it"
)


def refuse(page, what):
    """Choose a window that the server is made to refuse: the page says why, and shows nothing of another choice."""
    page.route(f"**/api/{what}?*", lambda route: route.fulfill(status=400, json={"error": "no such window"}))
    window = page.get_by_label("Window", exact=True)
    window.focus()
    window.select_option("3")
    expect(page.get_by_role("alert")).to_have_text("no such window")
    assert page.locator(".main-svg").count() == 0
    page.unroute(f"**/api/{what}?*")


def test_modes_show_the_same_panel_for_a_random_direction_and_say_p(visitor):
    page = visitor.goto(f"/modes?{ADD}&step=50")
    settle(page)
    expect(page.locator(".verdict")).to_contain_text("40 draws")
    grids = page.evaluate("[...document.querySelectorAll('.sides .plot')].map((p) => p.data[0].type)")
    assert grids.count("heatmap") == 4
    before = page.evaluate(f"{PLOT}[0].z[3][4]")
    page.get_by_label("v2", exact=True).focus()
    page.keyboard.press("End")
    wait_for(page, f"{PLOT}[0].z[3][4] !== {before}")
    assert parse_qs(urlsplit(page.url).query)["weights"] == ["1,1"]
    settle(page)
    visitor.assert_nothing_wrong()


def test_a_choice_that_fails_empties_the_page_and_keeps_the_focus(visitor):
    page = visitor.goto(f"/modes?{ADD}&step=50")
    settle(page)
    sizes = page.get_by_label("Window", exact=True).locator("option").evaluate_all("all => all.map((x) => +x.value)")
    assert max(sizes) * 5 <= 50
    page.get_by_role("button", name="v2", exact=True).click()
    settle(page)
    focused = "document.activeElement.labels?.[0]?.textContent || document.activeElement.innerText"
    assert page.evaluate(focused) == "v2"
    pressed = page.locator("[aria-pressed=true]")
    expect(pressed).to_have_text("v2")
    refuse(page, "mode")
    assert page.locator(".verdict").inner_text() == ""
    assert page.evaluate(focused) == "Window"
    page.get_by_label("Window", exact=True).select_option("5")
    settle(page)
    expect(page.locator(".verdict")).to_contain_text("40 draws")


def test_a_film_that_fails_leaves_no_other_film(visitor):
    page = visitor.goto(f"/film?{ADD}")
    settle(page)
    refuse(page, "film")
    assert page.get_by_role("button", name="Play").is_disabled()
    page.get_by_label("Window", exact=True).select_option("10")
    settle(page)
    expect(page.locator(".caption")).to_contain_text("Step 60")


def test_a_frequency_is_drawn_on_the_domain_and_kept_in_the_address(visitor):
    page = visitor.goto(f"/modes?{ADD}&step=50&inputs=all")
    settle(page)
    page.get_by_label("Draw only frequency").fill("4")
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('.plot').layout.title.text.startsWith('Share of ω = 4')")
    settle(page)
    z = page.evaluate(f"{PLOT}[0].z")
    assert z[0][5] == pytest.approx(z[2][3])  # of the sum only
    page.reload()
    wait_for(page, "document.querySelector('.plot')?.layout?.title.text.startsWith('Share of ω = 4')")
    page.get_by_label("Draw only frequency").fill("2,-1")
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('.plot').layout.title.text.startsWith('Share of (2, −1)')")
    settle(page)
    visitor.assert_nothing_wrong()


def test_a_pair_has_the_share_of_the_map_and_a_runs_across(visitor):
    page = visitor.goto(f"/modes?{ADD}&step=50&inputs=all")
    settle(page)
    maps = "[...document.querySelectorAll('.plot')].filter((p) => p.data)"
    a, b = page.evaluate(f"{maps}.slice(0, 3).flatMap((p) => p.data[0].type === 'heatmap' ? [p.layout] : [])")
    assert (a["xaxis"]["title"]["text"], b["xaxis"]["title"]["text"]) == ("a", "ω_a")
    title = b["title"]["text"].replace("−", "-")
    share, wa, wb = re.search(r"([\d.]+) % at \((-?\d+), (-?\d+)\)", title).groups()
    logarithm = page.evaluate(f"{maps}[2].data[0].z[{wa} + 6][{wb} + 6]")
    assert 10**logarithm == pytest.approx(float(share) / 100, abs=6e-4)


def test_data_of_a_view_can_be_downloaded(visitor):
    page = visitor.goto(f"/modes?{ADD}&step=50")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Parquet").first.click()
    table = pl.read_parquet(io.BytesIO(download.value.path().read_bytes()))
    assert table.columns == ["a", "b", "f", "held_out"]
    assert len(table) == 169


def test_a_film_is_scrubbed_played_and_exported(visitor, tmp_path):
    page = visitor.goto(f"/film?{ADD}&step=30")
    settle(page)
    caption = page.locator(".caption")
    expect(caption).to_contain_text("Step 30")
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("ArrowRight")
    expect(caption).to_contain_text("Step 35")
    page.get_by_role("button", name="Play").click()
    expect(caption).to_contain_text("Step 60")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="one HTML page").click()
    exported = tmp_path / "film.html"
    download.value.save_as(exported)
    visitor.assert_nothing_wrong()
    page.goto(exported.as_uri())
    expect(page.locator("#caption")).to_contain_text("Step 60")
    page.locator("#time").focus()
    page.keyboard.press("Home")
    expect(page.locator("#caption")).to_contain_text("Step 25")
