"""Every block of code on a page runs, or is named here with what covers it; every link leads somewhere."""

import json
import re

import numpy as np
import pytest

from support.pages import ROOT, blocks, fences, pages, run_python

PRINTED = {
    "README.md": ["FourierProfile", "variance_share"],
    "quickstart.md": ["FourierProfile(k=3, M=23; F@ω: "],
    "special.md": [
        "Comparison(1 directions, concentration, variance_share against",
        "largest against isotropic, one_tensor",
    ],
    "intervening.md": ["Intervention(loss at 0.25, 0.5, 1; edge, isotropic", "of the squared lengths"],
    "discovery.md": ["law=Z_31, sum"],
    "early_warning.md": ["32\n"],
    "watching.md": [
        "torch.Size([3, 100])",
        "cosine of the two v1: ",
        "40 (3, 8)",
        "[10, 20, 30, 40]",
        "recording 384 parameters in 2 tensors",
        "Recording(Sequential, 2 tensors, dim=144, W=5, every 100 steps)",
    ],
}
"""What the Python blocks of a page print. A page that is not here has none, or is in ELSEWHERE."""

ELSEWHERE = {
    # A sweep of thirteen runs here; dask with real workers, Slurm with stand-ins for its programs: there is no cluster.
    ("sweeps.md", "python"): ["tests/check_sweeps_page.py"],
    ("sweeps.md", "toml"): ["tests/check_sweeps_page.py"],
    ("sweeps.md", ""): [
        "tests/check_sweeps_page.py",
        "tests/replication/sweep/check_dask.py",
        "tests/replication/sweep/check_slurm.py",
    ],
    # Each diff is applied to a copy of the source, and what follows it is run there.
    ("extending.md", "diff"): ["tests/check_extending_page.py"],
    ("extending.md", "python"): ["tests/check_extending_page.py"],
    ("extending.md", "toml"): ["tests/check_extending_page.py"],
    ("extending.md", "bash"): ["tests/check_extending_page.py"],
    # Needs Transformers; the wheel's check installs.
    ("language.md", "python"): ["tests/language/check_page.py"],
    ("language.md", ""): ["tests/check_wheel.py"],
    # The commands on a folder of checkpoints and on a stand-in of the hub.
    ("watching.md", ""): [
        "tests/cli/test_cli.py",
        "tests/recording/check_checkpoints.py",
        "tests/recording/check_lora.py",
    ],
    # `spectral-edge serve` waits for a browser: the tests of the application start it.
    ("quickstart.md", ""): ["tests/serve/check_pages.py"],
    # Minutes to hours of training, and a loop that stands for anybody's; each command has its tests.
    ("README.md", ""): [
        "tests/language/check_page.py",
        "tests/serve/check_pages.py",
        "tests/cli/test_cli.py",
        "tests/cli/test_sweep.py",
        "tests/replication/check_reproduce.py",
    ],
    # How the site's list of pages is written, read by the build itself.
    ("index.md", "{toctree}"): ["tests/check_site.py"],
}


def name(page):
    return page.name


@pytest.mark.parametrize("page", [page for page in pages() if page.name in PRINTED], ids=name)
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_python(blocks(page, "python"), tmp_path)
    said = capsys.readouterr()
    for expected in PRINTED[page.name]:
        assert expected in said.out + said.err


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_block_is_run_or_named(page):
    for language in {language for language, _ in fences(page)}:
        runs = (language == "python" and page.name in PRINTED) or (page.name, language) == ("quickstart.md", "bash")
        covered = ELSEWHERE.get((page.name, language), [])
        assert runs or covered, f"{page.name}: nothing runs its blocks of {language or 'no language'}"
        assert [test for test in covered if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]
    written = ("claims/", "api/")  # when the site is built; the build checks them
    missing = [link for link in links if not link.startswith(written) and not (page.parent / link).exists()]
    assert missing == []


def test_each_symbol_is_defined_once_beside_its_function():
    page = (ROOT / "docs" / "mathematics.md").read_text()
    definitions = re.findall(r"^(\S[^\n]*)\n: (.*?)(?=\n\S|\Z)", page, flags=re.M | re.S)
    terms = [term for term, _ in definitions]
    assert len(set(terms)) == len(terms) > 25
    without = [term for term, text in definitions if "{py:" not in text]
    assert without == ["Update $\\delta_i$", "Input x, representation h(x; θ)"]  # given, not computed by a call


@pytest.mark.parametrize("notebook", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=name)
def test_notebooks_are_small_and_hold_what_was_computed(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    assert notebook.stat().st_size < 200_000
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")


def test_numbers_in_the_text_of_a_notebook_are_those_it_computed():
    cells = json.loads((ROOT / "docs" / "notebooks" / "is_it_special.ipynb").read_text())["cells"]
    said = "".join(cells[-1]["source"]).replace("−", "-")
    computed = "".join("".join(o.get("text", "")) for cell in cells for o in cell.get("outputs", []))
    rows = [tuple(map(float, row)) for row in re.findall(r"(-?[\d.]+) +┆ (-?[\d.]+) +┆ (-?[\d.]+) +┆ [a-z]", computed)]
    number = r"(-?\d+(?:\.\d+)?)"
    triples = re.findall(rf"{number}(?: null SDs)?\s+\((?:90 % interval )?{number} to {number}\)", said)
    assert len(triples) == len(re.findall(r"\([^()]* to [^()]*\)", said)) >= 5
    for triple in triples:
        # Half a unit of the last digit, and of the digits of the table.
        allowed = [0.5 * 10.0 ** -len(text.partition(".")[2]) + 5e-4 for text in triple]
        off = [np.abs(np.subtract(row, [float(text) for text in triple])) for row in rows]
        assert any((one <= allowed).all() for one in off), triple
    cosines = re.search(r"cosine to θ is ([\d.]+) to ([\d.]+)", said).groups()
    assert [cosine for cosine in cosines if cosine not in computed] == []
