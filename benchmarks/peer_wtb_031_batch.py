"""Runs in an environment of its own where the package wtb 0.3.1 is installed; prints seconds for a batch as JSON."""

import contextlib
import json
import os
import sys
import tempfile
import time
from typing import Any

from peer_wtb_031 import linear  # type: ignore[import-not-found]  # beside this file, in that environment

from wtb.sdk import WorkflowProject, WTBTestBench  # type: ignore[attr-defined]  # that package's, not this one's

CASES = int(sys.argv[1])


def another(state: Any) -> dict[str, Any]:
    return {"i": state["i"] + 2}


def main() -> None:
    blob = os.urandom(500).hex()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        bench = WTBTestBench.create(mode="development", data_dir=folder)
        project = WorkflowProject(name="measured", graph_factory=linear)  # type: ignore[call-arg]
        project.register_variant("node_5", "another", another)  # type: ignore[attr-defined]
        bench.register_project(project)
        bench.run("measured", {"i": 0, "blob": blob})
        began = time.perf_counter()
        batch = bench.run_batch_test(
            "measured",
            [{"node_5": "default"}, {"node_5": "another"}],
            [{"i": case, "blob": blob} for case in range(CASES)],
        )
        taken = time.perf_counter() - began
        assert batch.status.value == "completed", batch.status
        assert len(batch.results) == 2 * CASES, len(batch.results)
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main()
