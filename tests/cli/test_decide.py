"""The answers of gathered tables, on the command line."""

import json

import polars

from spectral_edge.cli import main
from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.store import Claims


def test_answers_of_gathered_tables_are_printed(tmp_path, capsys):
    assert main(["decide", "--kept", str(tmp_path), "--json"]) == 1
    assert "no arm is measured there yet" in capsys.readouterr().err
    question = next(q for q in PROTOCOL.questions if q.claim == "C8")
    rows = [
        {
            "protocol": PROTOCOL.digest, "arm": "seeds", "run_id": f"sub-{seed}", "task": "sub", "seed": seed,
            "copy": 0, "checkpoint": "stop", "position": 1, "direction": direction, "statistic": question.statistic,
            "grouping": question.grouping, "inputs": question.inputs, "null": null, "peak": 3,
            "measured": 0.3 + 0.001 * seed % 7, "null_mean": 0.1, "null_std": 0.02, "null_quantile95": 0.13,
            "weight_decay": 1.0, "step": 3500, "stride": 100, "window": 20, "centered": True, "method": "jvp",
            "definition": "text", "pvalue": 1 / 61, "draws": 60, "cosine": 0.5,
        }
        for seed in range(1001, 1007)
        for direction in ("v1", "v1-theta")
        for null in (*question.specific, question.exists)
    ]  # fmt: skip
    polars.DataFrame(rows).write_parquet(tmp_path / "seeds.parquet")
    assert main(["decide", "--kept", str(tmp_path), "--json"]) == 0
    answers = {answer["claim"]: answer for answer in json.loads(capsys.readouterr().out)["answers"]}
    assert [answers["C8"][name] for name in ("n", "specific", "reproduces", "final")] == [6, "yes", "undecided", False]
    assert [answers["C7"][name] for name in ("n", "specific", "final")] == [0, "undecided", False]
    assert len(Claims.read(tmp_path / "claims.json").rows) == 6 * 6, "v1 beside five nulls, and v1 across the weights"
    assert main(["decide", "--kept", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "\nC1 " in printed
    assert "6 of 30 seeds" in printed


def test_a_table_of_another_protocol_ends_with_one_line(tmp_path, capsys):
    polars.DataFrame([{"protocol": "other", "arm": "seeds"}]).write_parquet(tmp_path / "seeds.parquet")
    assert main(["decide", "--kept", str(tmp_path)]) == 1
    assert "other" in capsys.readouterr().err
