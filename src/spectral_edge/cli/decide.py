"""``spectral-edge decide``: train and measure the runs that decide the claims, and say what they answer so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.replication.decision import PROTOCOL, Arm
from spectral_edge.replication.decision.answers import Answer, answers_of, claim_answers, replaced_in
from spectral_edge.replication.decision.arms import planned_seeds
from spectral_edge.replication.decision.evidence import gather_arm, measure_arm, restore_arm

__all__ = ["Decide"]


@dataclass(frozen=True)
class Decide:
    """Train and measure one arm of the decision by the protocol (docs/protocol.md), and print the answers so far.

    Stopped at any moment, the same command continues, from run directories or from the kept tables of those that are
    gone. Arms take from half an hour to three hours on two cores.

    Example:  spectral-edge decide --arm seeds --out runs/decision --kept results/decision
    """

    arm: Arm | None = None
    """Which runs: seeds, copies, paper_seed, controls or trunk. Left out, nothing is trained: only the answers."""
    out: Path = Path("runs/decision")
    """Where runs and their tables go."""
    kept: Path = Path("results/decision")
    """Where the small tables go, one file an arm."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    gather_only: bool = False
    """Gather what is measured of the arm so far; train nothing."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, gather, answer."""
        if self.arm is not None:
            restore_arm(self.out, self.arm, self.kept)
            if not self.gather_only:
                measure_arm(self.out, self.arm, self.jobs, self.output.say)
            gather_arm(self.out, self.arm, self.kept)
        found = answers_of(self.kept, PROTOCOL)
        values = {
            "protocol": PROTOCOL.digest,
            "replaced": replaced_in(self.kept, PROTOCOL),
            "claims": claim_answers(found),
            "answers": [_plain(answer) for answer in found],
        }
        self.output.result(values, "\n".join(map(_line, found)) or f"{self.kept}: no arm is measured there yet")


def _line(answer: Answer) -> str:
    """One answer for a terminal."""
    question, specific = answer.question, answer.specific
    interval = "" if specific.low is None else f" [{specific.low:.3g}, {specific.high:.3g}]"
    so_far = "" if answer.final else f", {specific.n} of {planned_seeds(question.claim)} seeds: not final"
    return (
        f"{question.claim:4}{question.task:7}reproduces {answer.reproduces.answer or '-':10}"
        f"exists {answer.exists.answer:10}specific {specific.answer:10}"
        f"excess over {answer.strongest_null} {specific.effect:.3g}{interval} {question.unit}, n = {specific.n}{so_far}"
    )


def _plain(answer: Answer) -> dict[str, object]:
    return {
        "claim": answer.question.claim,
        "task": answer.question.task,
        "final": answer.final,
        "reproduces": answer.reproduces.__dict__,
        "exists": answer.exists.__dict__,
        "specific": answer.specific.__dict__,
        "strongest_null": answer.strongest_null,
        "by_null": {null: decision.__dict__ for null, decision in answer.by_null.items()},
        "beyond_weights": None if answer.beyond_weights is None else answer.beyond_weights.__dict__,
    }
