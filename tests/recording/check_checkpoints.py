"""Checkpoints of Transformers, sharded and not; of a hub; and the memory that reading them takes."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import spectral_edge as se


def llama():
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2,
        )
    )  # fmt: skip


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4))


def trained(model, folder, shard="5GB"):
    """Train, record live, and save every second step as Transformers does."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(0, 50, (8, 12), generator=torch.Generator().manual_seed(0))
    model.save_pretrained(folder / "checkpoint-0", max_shard_size=shard)
    with se.watch(model, optimizer, window=5, every=2, verbose=False) as recorder:
        for step in range(1, 11):
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            if step % 2 == 0:
                model.save_pretrained(folder / f"checkpoint-{step}", max_shard_size=shard)
    return recorder


@pytest.mark.parametrize(("make", "shard"), [(llama, "5GB"), (llama, "8KB"), (gpt2, "5GB")])
def test_a_transformers_training_is_read_in_the_order_of_its_model(make, shard, tmp_path):
    torch.manual_seed(0)
    model = make()
    live = trained(model, tmp_path, shard).edge()
    found = se.Recording.from_checkpoints(tmp_path)
    assert found.config.model == type(model).__name__
    assert tuple(found.config.parameters) == se.attention_weights(model).names
    edge = found.edge()
    assert edge.singular_values == pytest.approx(live.singular_values, rel=1e-4, abs=1e-8)
    torch.testing.assert_close(edge.directions(2), live.directions(2), atol=1e-4, rtol=0)
    modes = se.token_modes(model, edge, torch.randint(0, 50, (2, 8)), k=1)  # the columns are the model's
    assert modes.signed.shape == (1, 2, 7)


def test_a_base_model_s_checkpoint_lacks_the_prefix_of_its_head(tmp_path):
    torch.manual_seed(0)
    model = gpt2()
    for step in range(3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.01)
        model.transformer.save_pretrained(tmp_path / f"checkpoint-{step}")
    found = se.Recording.from_checkpoints(tmp_path, model=model)
    assert tuple(found.config.parameters) == se.attention_weights(model).names
    assert found.edge().directions(1).shape == (1, 2 * (32 * 96 + 32 * 32))


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download needs; a revision is a folder."""

    root: Path

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def _answer(self, body):
        parts = self.path.split("?")[0].strip("/").split("/")
        by_hash = {f"{sum(map(ord, folder.name)):040x}": folder for folder in self.root.iterdir()}
        if parts[:2] == ["api", "models"] and parts[4] == "revision":
            sha = next((sha for sha, folder in by_hash.items() if folder.name == parts[5]), None)
            if sha is None:
                return self._send(b'{"error": "Invalid rev id"}', 404, body, {"X-Error-Code": "RevisionNotFound"})
            return self._send(json.dumps({"id": "some/model", "sha": sha, "siblings": []}).encode(), 200, body, {})
        if parts[:2] == ["api", "models"]:
            listed = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                for file in sorted(by_hash[parts[5]].iterdir())
            ]
            return self._send(json.dumps(listed).encode(), 200, body, {})
        if parts[0] == "api":
            return self._send(b"{}", 404, body, {})
        data = (by_hash[parts[3]] / parts[4]).read_bytes()
        headers = {"ETag": f'"{parts[3]}-{parts[4]}"', "X-Repo-Commit": parts[3], "Accept-Ranges": "bytes"}
        return self._send(data, 200, body, headers)

    def _send(self, data, status, body, headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


DOWNLOAD = """
import sys
import spectral_edge as se
revisions = sys.argv[1:]
recording = se.Recording.from_checkpoints("some/model", revisions=revisions)
print(recording.config.model, recording.steps, recording.edge().singular_values.tolist())
"""


def test_revisions_of_a_repository_are_downloaded_and_read(tmp_path):
    torch.manual_seed(0)
    model = gpt2()
    live = trained(model, tmp_path / "hub").edge()
    for folder in (tmp_path / "hub").iterdir():
        folder.rename(folder.with_name(folder.name.replace("checkpoint-", "step")))
    handler = type("Stand", (Hub,), {"root": tmp_path / "hub"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def read(*revisions):
        environment = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "home"),
            "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        command = [sys.executable, "-c", DOWNLOAD, *revisions]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)

    try:
        done = read(*(f"step{step}" for step in range(0, 11, 2)))
        assert done.returncode == 0, done.stderr[-3000:]
        name, numbers = done.stdout.split(" ", 1)
        steps, sigma = json.loads("[" + numbers.replace("] [", "], [") + "]")
        assert (name, steps) == ("GPT2LMHeadModel", [10])
        assert sigma == pytest.approx(live.singular_values.tolist(), rel=1e-4, abs=1e-8)
        gone = read("step0", "step2", "step99")
        assert gone.returncode == 1
        assert "some/model, revision 'step99': cannot be downloaded" in gone.stderr
    finally:
        server.shutdown()


MEASURE = """
import resource, sys
import spectral_edge as se
import torch, safetensors.torch
torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
small = se.Recording.from_checkpoints(sys.argv[1] + "/small")
small.edge().directions(1)
before = peak()
recording = se.Recording.from_checkpoints(sys.argv[1] + "/large")
recording.edge().singular_values
spectrum = peak() - before
recording.edge().directions(1)
print(spectrum, peak() - before)
"""


def test_no_checkpoint_is_ever_in_memory_whole(tmp_path):
    from safetensors.torch import save_file

    rows = {"small": 64, "large": 24 * 1024}
    for name, n in rows.items():
        (tmp_path / name).mkdir()
        for step in range(6):
            save_file(
                {"x.attn.weight": torch.full((n, 1024), float(step**2))}, tmp_path / name / f"step{step}.safetensors"
            )
    size = rows["large"] * 1024 * 4
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, timeout=240, check=True
    )
    spectrum, directions = map(int, done.stdout.split())
    # Blocks of all six in float64 and their differences; and a direction, which has the size of a checkpoint.
    assert spectrum < 0.8 * size
    assert directions < 1.8 * size
    assert np.isfinite([spectrum, directions]).all()
