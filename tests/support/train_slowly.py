"""Train the tiny run with frequent checkpoints and pauses, so that a test can kill it anywhere."""

import sys
import time
from pathlib import Path

from spectral_edge.grokking import TrainingConfig
from spectral_edge.subjects import RunConfig, training_run

training_run._CHECKPOINT_EVERY = 10
config = RunConfig.model_validate_json(Path(sys.argv[2]).read_text())
assert isinstance(config.training, TrainingConfig)
training_run.train_run(Path(sys.argv[1]), config, on_status=lambda status: time.sleep(0.02))
