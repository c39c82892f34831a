"""Every page in a real browser: data, links between panels, keyboard, themes, and no word from anywhere else."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from support.serve_browser import ADD, CHROMIUM, PLOT, Visitor, running_server, settle, wait_for
from support.serve_requests import HOSTILE

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium; CI installs it"
)

PAGES = {
    "/": "Runs",
    f"/run?{ADD}": "runs/add",
    f"/modes?{ADD}&step=50": "Modes of runs/add",
    f"/film?{ADD}": "Film of runs/add",
    "/run?run=runs/recorded": "runs/recorded",
    "/comparisons": "Comparisons",
    "/comparisons?name=runs/norm.json": "runs/norm.json",
    "/claims": "Claims",
}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_accessible_quiet_and_on_its_own(chromium, server, path, theme, width):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    visitor = Visitor(context, server)
    page = visitor.goto(path)
    expect(page.locator("h1")).to_have_text(PAGES[path])
    settle(page)
    if path == "/claims":
        page.locator("summary").first.click()
    visitor.assert_accessible()
    visitor.assert_nothing_wrong()
    context.close()


def test_the_token_leaves_the_address(visitor):
    assert "token" not in visitor.page.url


@pytest.mark.parametrize("address", ["/", f"/run?{ADD}", f"/modes?{ADD}", f"/film?{ADD}"])
def test_the_keyboard_reaches_everything_and_no_two_links_have_one_name(visitor, address):
    page = visitor.goto(address)
    settle(page) if address != "/" else expect(page.locator("tbody tr")).to_have_count(5)
    told = "[document.activeElement.localName, document.activeElement.ariaLabel || document.activeElement.innerText]"
    reached = []
    while (focus := page.evaluate(told))[0] != "body" or not reached:
        reached.append(focus)
        page.keyboard.press("Tab")
        assert len(reached) < 100
    names = [name for tag, name in reached if tag == "a"]
    assert len(set(names)) == len(names)
    everything = page.locator("a, button, select, input, summary").filter(visible=True)
    assert len([tag for tag, _ in reached[1:] if tag != "div"]) == everything.count()
    titles = page.locator("[data-title]").evaluate_all("all => all.map((x) => x.dataset.title)")
    assert not [title for title in titles if "Share" in title]


def test_runs_are_listed_filtered_and_compared(visitor):
    page = visitor.goto("/")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(5)
    expect(page.locator("tr[data-run='runs/add'] .curve svg")).to_be_visible()
    expect(page.locator("tr[data-run='runs/add'] .edge")).to_contain_text("k*")
    page.get_by_label("Operation").select_option("mul")
    expect(rows).to_have_count(2)
    assert parse_qs(urlsplit(page.url).query)["operation"] == ["mul"]
    page.reload()
    expect(rows).to_have_count(2)
    page.get_by_label("Operation").select_option("")
    for name in ("runs/add", "runs/mul"):
        page.get_by_label(f"Compare {name}", exact=True).check()
    wait_for(page, f"document.querySelector('.compared .plot')?.data?.length >= 4 && {PLOT}[0].y.length > 2")
    visitor.assert_nothing_wrong()


def test_a_run_that_goes_on_changes_its_row_alone(visitor):
    page, asked = visitor.page, []
    page.route("**/api/events*", lambda route: route.abort())  # the page asks every 3 s
    page.on("request", lambda request: asked.append(request.url) if "/api/curves" in request.url else None)
    visitor.goto("/")
    other = page.locator("tr[data-run='runs/add']")
    expect(other.locator(".edge")).to_contain_text("k*")
    page.get_by_label("Compare runs/add", exact=True).focus()
    asked.clear()

    def further(route):
        answer = route.fetch().json()
        for run in answer["runs"]:
            run["step"] = 61 if run["name"] == "runs/mul" else run["step"]
        answer["runs"][0]["operation"] = "div"
        route.fulfill(json=answer)

    page.route("**/api/runs", further)
    expect(page.locator("tr[data-run='runs/mul'] td.n").nth(2)).to_contain_text("61", timeout=10_000)
    expect(page.locator("#page select option[value='div']")).to_have_count(1)
    assert page.evaluate("document.activeElement.ariaLabel") == "Compare runs/add"
    expect(other.locator(".edge")).to_contain_text("k*")
    assert not [url for url in asked if "add" in url]
    expect(page.locator(".why:visible")).to_have_count(1)  # of the run that is broken


def test_markup_in_a_name_is_text(visitor):
    page = visitor.goto("/")
    link = page.get_by_role("link", name=f"runs/{HOSTILE}", exact=True)
    link.click()
    expect(page.locator("h1")).to_have_text(f"runs/{HOSTILE}")
    assert page.locator("img").count() == 0
    visitor.goto("/run?run=runs/recorded")
    expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    visitor.assert_nothing_wrong()


def test_the_cursor_moves_all_panels_the_readings_and_the_address(visitor):
    page = visitor.goto(f"/run?{ADD}&step=40")
    settle(page)
    reading = page.locator(".readings dd").first
    expect(reading).to_have_text("40")
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("ArrowLeft")
    expect(reading).to_have_text("35")
    assert parse_qs(urlsplit(page.url).query)["step"] == ["35"]
    shapes = page.evaluate("document.querySelector('.plot').layout.shapes.map((s) => [s.x0, s.yref, s.y0, s.y1])")
    assert shapes[-1] == [35, "paper", 0, 1]
    page.get_by_role("link", name="modes at this step").click()
    expect(page.locator("h1")).to_have_text("Modes of runs/add")
    assert parse_qs(urlsplit(page.url).query)["step"] == ["35"]


def test_another_window_gives_another_spectrum(visitor):
    page = visitor.goto(f"/run?{ADD}")
    settle(page)
    sigma1 = f"{PLOT}.find((t) => t.name === 'σ₁')"
    assert page.evaluate(f"{sigma1}.x[0]") == 25
    page.get_by_label("Window (updates)").select_option("3")
    wait_for(page, f"{sigma1}.x[0] === 15")
    page.get_by_label("Window mean").select_option("false")
    wait_for(page, "location.search.includes('centered=false')")
    visitor.assert_nothing_wrong()


def test_a_late_answer_does_not_replace_a_later_choice(visitor):
    page = visitor.goto(f"/run?{ADD}")
    settle(page)
    held = []
    page.route("**/api/spectrum?*window=10&*", lambda route: held.append(route))
    page.get_by_label("Window (updates)").select_option("10")
    page.get_by_label("Window (updates)").select_option("3")
    first = f"{PLOT}.find((t) => t.name === 'σ₁').x[0]"
    wait_for(page, f"{first} === 15")
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    assert len(held) == 1
    assert page.evaluate(first) == 15


def test_without_events_a_page_asks(visitor):
    visitor.page.route("**/api/events*", lambda route: route.abort())
    with visitor.page.expect_response("**/api/metrics*", timeout=10_000):
        visitor.goto("/run?run=runs/add")
    with visitor.page.expect_response("**/api/metrics*", timeout=10_000):
        pass


HIDE = """
Object.defineProperty(document, "hidden", { get: () => true });
document.dispatchEvent(new Event("visibilitychange"));
"""


def test_hidden_tabs_hold_no_connection(chromium, server):
    """A browser opens six to a server; an eighth tab would wait for ever."""
    context = chromium.new_context()
    for _ in range(8):
        visitor = Visitor(context, server)
        visitor.goto("/run?run=runs/add")
        settle(visitor.page)
        expect(visitor.page.locator(".readings dd").first).to_have_text("60")
        visitor.page.evaluate(HIDE)
    context.close()


def test_a_step_from_the_log_opens_the_explorer_at_a_stride_that_it_has(visitor):
    page = visitor.goto("/modes?run=runs/add&stride=1&step=50")
    settle(page)
    assert parse_qs(urlsplit(page.url).query)["stride"] == ["5"]
    expect(page.locator(".verdict")).to_contain_text("40 draws")


@pytest.mark.parametrize("path", ["/run", "/modes", "/film"])
def test_without_a_run_one_is_chosen_first(visitor, path):
    expect(visitor.goto(path).locator("h1")).to_have_text("Runs")


def test_a_damaged_run_says_what_is_wrong(visitor):
    page = visitor.goto("/run?run=runs/broken")
    expect(page.get_by_role("alert")).to_contain_text("config.json")
    visitor.assert_nothing_wrong()


def test_a_recording_without_a_window_says_what_it_needs_and_shows_no_axes(visitor):
    def short(route):
        answer = route.fetch().json()
        answer |= {"choices": None, "recording": {"window": 10, "every": 2}}
        answer["line"]["step"] = 14
        route.fulfill(json=answer)

    visitor.page.route("**/api/run?*", short)
    visitor.page.route("**/api/metrics?*", lambda route: route.fulfill(json={"step": [], "found": 0}))
    page = visitor.goto("/run?run=runs/recorded")
    note = page.locator("p.quiet[role=status]")
    expect(note).to_contain_text("7 updates")
    expect(note).to_contain_text("needs 10")
    assert page.get_by_role("slider").count() == 0
    assert page.locator(".main-svg").count() == 0
    assert page.locator("#pages a").filter(visible=True).all_inner_texts() == [
        "Runs",
        "Training",
        "Comparisons",
        "Claims",
    ]


def test_panels_are_those_that_have_lines(visitor):
    visitor.page.route("**/api/spectrum?*", lambda route: route.fulfill(status=400, json={"error": "none"}))
    page = visitor.goto(f"/run?{ADD}")
    settle(page)
    assert page.evaluate(
        "Object.keys(document.querySelector('.plot').layout).filter((k) => k.startsWith('yaxis'))"
    ) == [
        "yaxis",
        "yaxis2",
    ]
    assert page.evaluate("document.querySelector('.plot').layout.xaxis.anchor") == "y2"
    assert page.evaluate("document.querySelector('.plot').layout.yaxis2.domain[0]") == pytest.approx(0, abs=1e-9)


def test_an_unknown_address_leads_to_the_runs(visitor):
    page = visitor.goto("/nowhere")
    page.get_by_role("link", name="All runs").click()
    expect(page.locator("h1")).to_have_text("Runs")


def test_a_claim_opens_to_its_effects(visitor):
    page = visitor.goto("/claims#C6")
    expect(page.locator("details#C6 table")).to_contain_text("the same angle to the weights")
    page.locator("img").first.scroll_into_view_if_needed()
    wait_for(page, "document.querySelector('img').naturalWidth > 300")
    page.locator("summary", has_text="C7").focus()
    page.keyboard.press("Enter")
    expect(page.locator("details#C7 table")).to_be_visible()
    wait_for(page, "location.hash === '#C7'")


def test_a_run_that_is_gone_is_said_to_be_gone(visitor):
    page = visitor.goto("/run?run=runs/gone")
    expect(page.get_by_role("alert")).to_contain_text("there is no run 'runs/gone'")


def test_pages_follow_a_training_in_another_process(chromium, tmp_path):
    code = (
        "import sys; from pathlib import Path; from support.tiny_runs import tiny; "
        "from spectral_edge.subjects import train_run; "
        "train_run(Path(sys.argv[1]), tiny(max_steps=200_000, weight_decay=0.0))"
    )
    training = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "live")], env=_with_tests_on_path())
    try:
        with running_server(tmp_path) as address:
            context = chromium.new_context()
            visitor = Visitor(context, address)
            step = visitor.page.locator("tr[data-run='live'] td.n").nth(2)
            expect(visitor.page.locator("tr[data-run='live'] .state")).to_have_text("running", timeout=30_000)
            seen = int(step.inner_text().split(" ")[0])
            wait_for(visitor.page, f"parseInt(document.querySelectorAll('tr td.n')[2].innerText) > {seen}")
            page = visitor.goto("/run?run=live")
            settle(page)
            last = f"{PLOT}[0].x.at(-1)"
            seen = page.evaluate(last)
            wait_for(page, f"{last} > {seen}")
            training.kill()
            training.wait()
            expect(page.locator(".state")).to_have_text("stopped", timeout=10_000)
            visitor.assert_nothing_wrong()
            context.close()
    finally:
        training.kill()
        training.wait()


def _with_tests_on_path():
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
