"""``spectral-edge decide``: train and measure the runs that decide the claims, and say what they answer so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.replication.decision import PROTOCOL, Arm
from spectral_edge.replication.decision.answers import replaced_in
from spectral_edge.replication.decision.document import decision_claims, write_claims
from spectral_edge.replication.decision.evidence import gather_arm, measure_arm, restore_arm
from spectral_edge.store import Answer

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
        self.output.say(f"{self.kept}: computing the answers, half a minute")
        claims = write_claims(self.kept / "claims.json", decision_claims(self.kept))
        values = {
            "protocol": claims.protocol,
            "replaced": replaced_in(self.kept, PROTOCOL),
            "answers": [answer.model_dump() | {"final": answer.final} for answer in claims.answers],
        }
        self.output.result(values, "\n".join(map(_line, claims.answers)))


def _line(answer: Answer) -> str:
    """One answer for a terminal."""
    words = [value or "-" for value in (answer.reproduces, answer.exists, answer.specific)]
    three = "reproduces {:11}exists {:11}specific {:11}".format(*words)
    if answer.effect is None:
        return f"{answer.claim:4} {three}{answer.because}"
    interval = "" if answer.low is None else f" [{answer.low:.3g}, {answer.high:.3g}]"
    so_far = "" if answer.final else f", {answer.n} of {answer.planned} seeds: not final"
    return (
        f"{answer.claim:4} {three}excess over {answer.strongest_null} {answer.effect:.3g}{interval} {answer.unit}, "
        f"n = {answer.n}{so_far}"
    )
