"""The answers of gathered tables, on the command line."""

import json

import polars

from spectral_edge.cli import main
from spectral_edge.replication.decision import PROTOCOL


def test_answers_of_gathered_tables_are_printed(tmp_path, capsys):
    assert main(["decide", "--kept", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == []
    question = next(q for q in PROTOCOL.questions if q.claim == "C8")
    rows = [
        {
            "protocol": PROTOCOL.digest, "arm": "seeds", "run_id": f"sub-{seed}", "task": "sub", "seed": seed,
            "copy": 0, "checkpoint": "stop", "position": 1, "direction": direction, "statistic": question.statistic,
            "grouping": question.grouping, "inputs": question.inputs, "null": null, "peak": 3,
            "measured": 0.3 + 0.001 * seed % 7, "null_mean": 0.1, "null_std": 0.02,
        }
        for seed in range(1001, 1007)
        for direction in ("v1", "v1-theta")
        for null in (*question.specific, question.exists)
    ]  # fmt: skip
    polars.DataFrame(rows).write_parquet(tmp_path / "seeds.parquet")
    assert main(["decide", "--kept", str(tmp_path), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["claim"], answer["specific"]["n"], answer["specific"]["answer"]) == ("C8", 6, "yes")
    assert answer["reproduces"]["answer"] is None
    assert answer["final"] is False
    assert main(["decide", "--kept", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("C8")
    assert "6 of 30 seeds" in printed


def test_a_table_of_another_protocol_ends_with_one_line(tmp_path, capsys):
    polars.DataFrame([{"protocol": "other", "arm": "seeds"}]).write_parquet(tmp_path / "seeds.parquet")
    assert main(["decide", "--kept", str(tmp_path)]) == 1
    assert "other" in capsys.readouterr().err
