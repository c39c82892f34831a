"""Who is refused: no token, another host's name, other methods, what is too long, and names that are paths."""

import pytest
from starlette.testclient import TestClient

from spectral_edge.serve import PAGES, create_app
from support.serve_requests import TOKEN, opened

READS = ["/api/runs", "/api/claims", "/plotly.js", "/static/main.js", "/api/events", *PAGES]


@pytest.fixture
def stranger(trained):
    return TestClient(create_app(trained, TOKEN), base_url="http://127.0.0.1", follow_redirects=False)


@pytest.mark.parametrize("path", READS)
def test_nothing_without_the_token(stranger, path):
    assert stranger.get(path).status_code == 403
    assert stranger.get(path, params={"token": TOKEN[:-1]}).status_code == 403
    stranger.cookies.set("spectral-edge", "other")
    assert stranger.get(path).status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get("/run", params={"run": "runs/add", "token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/run?run=runs%2Fadd")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/api/runs").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.1.1", ""])
def test_another_host_name_is_refused_even_with_the_token(client, host):
    assert client.get("/api/runs", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:1234", "LOCALHOST", "[::1]:80"])
def test_own_names_are_answered(client, host):
    assert client.get("/api/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(client, method):
    assert client.request(method, "/api/runs").status_code == 405


@pytest.mark.parametrize("run", ["../..", "/etc", "runs/../../etc", "runs/add/../add", "runs\\add", "runs/add/", "."])
def test_names_that_are_paths_are_no_runs(client, run):
    for path in ("run", "metrics", "spectrum", "film"):
        answer = client.get(f"/api/{path}", params={"run": run})
        assert answer.status_code == 404
        assert "there is no run" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/static/%2e%2e/api.py", "/static/..%2fapi.py", "/static/%2e%2e%2fapi.py"])
def test_files_outside_the_static_folder_are_not_served(client, path):
    assert client.get(path).status_code in (403, 404)


@pytest.mark.parametrize("name", ["../claims.json", "/etc/passwd", "claim_C1.pdf", ""])
def test_only_figures_of_the_report_are_served(client, name):
    assert client.get("/api/figure", params={"name": name}).status_code == 404


def test_a_link_that_leads_out_is_not_followed(served, tmp_path):
    outside = tmp_path / "outside"
    (served / "runs" / "add").rename(outside)
    (served / "runs" / "add").symlink_to(outside)
    assert "runs/add" not in [line["name"] for line in opened(served).get("/api/runs").json()["runs"]]
    assert opened(served).get("/api/run", params={"run": "runs/add"}).status_code == 404


def test_oversized_queries_are_refused(client):
    assert client.get("/api/run", params={"run": "x" * 9000}).status_code == 414
    assert client.get("/api/run", params={"run": "x" * 600}).status_code == 400
    assert client.get("/api/curves", params={"run": ["runs/add"] * 13}).status_code == 400


@pytest.mark.parametrize(
    "bad",
    [
        {"window": 1},
        {"window": 10**6},
        {"stride": 0},
        {"step": -1},
        {"step": 10**12},
        {"weights": "1," * 90 + "1"},
        {"weights": "1,1,1,1,1,1,1,1,1"},
        {"weights": "0"},
        {"weights": "1e9"},
        {"weights": "nan"},
        {"weights": "."},
        {"random": 41},
        {"basis": "nothing"},
        {"coordinates": "polar"},
        {"format": "pickle"},
    ],
)
def test_bad_parameters_are_refused_with_a_reason(client, bad):
    good = {"run": "runs/add", "step": 50, "window": 5, "stride": 5, "basis": "sum"}
    assert client.get("/api/mode", params=good).status_code == 200
    answer = client.get("/api/mode", params=good | bad)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 10


def test_pages_may_load_from_here_only(client):
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe-eval" not in policy
    assert client.get("/api/runs").headers["x-content-type-options"] == "nosniff"


def test_the_token_leads_to_no_other_server(stranger):
    answer = stranger.get("http://127.0.0.1//evil.example/x", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/x")


@pytest.mark.parametrize("file", ["metrics.jsonl", "status.json", "config.json"])
def test_a_file_of_a_run_that_is_a_link_out_makes_it_no_run(served, tmp_path, file):
    path = served / "runs" / "add" / file
    path.rename(tmp_path / file)
    path.symlink_to(tmp_path / file)
    assert opened(served).get("/api/metrics", params={"run": "runs/add"}).status_code == 404


def test_figures_and_claims_that_are_links_out_are_not_there(served, tmp_path):
    for name in ("figures", "claims.json"):
        (served / name).rename(tmp_path / name)
        (served / name).symlink_to(tmp_path / name)
    client = opened(served)
    assert client.get("/api/figure", params={"name": "claim_C1.png"}).status_code == 404
    assert client.get("/api/claims").status_code == 404
