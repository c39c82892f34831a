import json

from spectral_edge.cli import main
from spectral_edge.subjects import self_test as parts_of


def test_every_part_works_here_and_the_answer_has_no_names_of_this_machine(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {part["name"] for part in found["parts"] if part["passed"] is False} == set()
    assert len(found["parts"]) == 6
    assert sum(part["seconds"] for part in found["parts"]) > 0
    assert found["environment"]["torch"]
    assert "/" not in json.dumps(found["environment"])


def test_a_part_that_fails_is_named(capsys, monkeypatch):
    monkeypatch.setattr(parts_of, "spectral_edge", lambda *a, **k: 1 / 0)
    monkeypatch.setattr(parts_of, "read_lock", lambda path: (_ for _ in ()).throw(OSError("no locks here")))
    assert main(["doctor"]) == 1
    caught = capsys.readouterr()
    assert "files and locks" in caught.err
    assert "no locks here" in caught.out
    assert "FAILED" in caught.out
