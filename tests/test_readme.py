import re
import runpy
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_every_python_example_runs(tmp_path, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert blocks
    for i, block in enumerate(blocks):
        script = tmp_path / f"example_{i}.py"
        script.write_text(block)
        runpy.run_path(str(script))
    assert "FourierProfile" in capsys.readouterr().out


def test_pictures_and_files_it_links_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (README.parent / link).exists()] == []
