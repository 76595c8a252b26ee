"""Trials as tasks of a Ray cluster."""

import logging
import os
from typing import Any

from wtb.domain.errors import ExtraMissing, InvalidRequest, WorkerDied
from wtb.sdk.batches.workers.assignment import Assignment
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.crossing import run_across
from wtb.sdk.batches.workers.remote_workers import RemoteWorkers
from wtb.sdk.batches.workers.trial_run import TrialRunner

QUIETLY = {"log_to_driver": False, "configure_logging": False}


class RayWorkers(RemoteWorkers):
    """One task for each attempt at a trial, on the cluster this process is connected to.

    When it is connected to none, to the one that ``RAY_ADDRESS`` names; else to
    one of its own on this machine, which `close` ends. Tasks are never retried by
    Ray. What goes to the cluster is text: Ray sends `run_across` by its name, not
    its code, so its machines need WTB installed, and the modules that the spec names.
    """

    def __init__(self, runner: TrialRunner, spec: BenchSpec, max_concurrency: int) -> None:
        """Raises `ExtraMissing`, or `InvalidRequest` for a store in a file when the cluster has several machines."""
        super().__init__(runner, max_concurrency)
        self._ray = _ray()
        self._is_own = _connect(self._ray, max_concurrency)
        check_store(spec, sum(node["Alive"] for node in self._ray.nodes()))
        self._task = self._ray.remote(max_retries=0)(run_across)
        self._spec = self._ray.put(spec.text)

    def _send(self, assignment: Assignment, text: str) -> "RayErrand":
        return RayErrand(self._ray, self._task.options(name=assignment.execution).remote(self._spec, text))

    def close(self) -> None:
        super().close()
        if self._is_own:
            self._ray.shutdown()


def check_store(spec: BenchSpec, machines: int) -> None:
    """Raise `InvalidRequest` when these machines can't share the store."""
    if machines > 1 and not spec.is_shared:
        raise InvalidRequest(
            "the machines of a Ray cluster can't share a store in a file", hint="Keep the store in Postgres."
        )


class RayErrand:
    """An assignment that a task runs."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray = ray
        self._task = task

    def reply(self) -> str:
        errors = self._ray.exceptions
        try:
            reply: str = self._ray.get(self._task)
        except errors.RayTaskError as error:  # the function itself tells what it meets, so Ray couldn't call it
            raise InvalidRequest(
                f"Ray can't run trials: {error.cause}",
                hint="Install WTB, and what the graph needs, on each of the cluster's machines.",
            ) from error
        except errors.RayError as error:
            raise WorkerDied(f"the Ray worker that ran the trial died ({type(error).__name__})") from error
        return reply

    def stop(self) -> None:
        self._ray.cancel(self._task, force=True)


def cluster_cpus() -> int | None:
    """How many CPUs the cluster has that this process is connected to, or that ``RAY_ADDRESS`` names; None without one.

    Raises `ExtraMissing`.
    """
    ray = _ray()
    if not ray.is_initialized():
        if not os.environ.get("RAY_ADDRESS"):
            return None
        ray.init(**QUIETLY)
    return int(ray.cluster_resources().get("CPU", 1))


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as missing:
        raise ExtraMissing("running trials on Ray", "ray") from missing
    return ray


def _connect(ray: Any, max_concurrency: int) -> bool:
    """Be connected to a cluster; whether it is one that was started here."""
    if cluster_cpus() is not None:
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of its own defaults
    try:
        ray.init(address="local", num_cpus=max_concurrency, include_dashboard=False, **QUIETLY)
    finally:
        logger.setLevel(level)
    return True
