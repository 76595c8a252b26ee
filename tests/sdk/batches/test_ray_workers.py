"""Trials on a real Ray cluster of one machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import ray
from ray import cloudpickle

from tests.sdk.batches.elsewhere import assigned, begun, obedient, other, runner, spec
from tests.sdk.given import completed
from wtb.domain.errors import InvalidRequest, VariantNotFound, WorkerDied
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.workers.crossing import run_across
from wtb.sdk.batches.workers.ray_workers import RayWorkers, check_store

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers' worth of Ray, which starts once."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for last in (False, False, True):
        try:
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
            break
        except Exception:  # Ray gives its own start 30 seconds, which a busy machine may not have
            ray.shutdown()
            if last:
                raise
    yield
    ray.shutdown()


@pytest.fixture
def bench(postgres_url: str, tmp_path: Path) -> Iterator[TestBench]:
    with TestBench(WorkflowProject("notes", db_path=postgres_url, output_dir=tmp_path / "out")) as bench:
        yield bench


@pytest.mark.postgres
@pytest.mark.usefixtures("cluster")
def test_trials_run_on_the_cluster_and_one_that_dies_or_hangs_can_be_tried_again(
    bench: TestBench, tmp_path: Path
) -> None:
    plain, failing, dying, hanging, unknown = assigned(
        bench, "a", "raise", f"die {tmp_path / 'died'}", f"hang {tmp_path / 'hung'}", "b"
    )
    workers = RayWorkers(runner(bench), spec(bench), 2)
    assert workers.submit(plain).result(60).status == "completed"
    assert bench.state(plain.execution)["notes"][-1] != str(os.getpid())
    assert workers.submit(failing).result(60).status == "failed"
    with pytest.raises(VariantNotFound, match="nobody"):
        workers.submit(msgspec.structs.replace(unknown, variants={"told": "nobody"})).result(60)
    with pytest.raises(WorkerDied):
        workers.submit(dying).result(60)
    hung = workers.submit(hanging)
    begun(tmp_path / "hung")
    workers.give_up(hanging, hung)
    assert isinstance(hung.exception(0), WorkerDied)
    assert {e.id for e in bench.orphans()} == {dying.execution}
    assert bench.execution(hanging.execution).status == "cancelled"
    for again in (dying, hanging):
        assert workers.submit(again).result(60).status == "completed"
        assert completed(bench.events(again.execution)) == ["before", "told"]
    workers.close()
    assert ray.is_initialized()  # it isn't the workers' to end


@pytest.mark.postgres
@pytest.mark.usefixtures("cluster")
def test_a_batch_runs_on_the_cluster_by_the_same_call(bench: TestBench) -> None:
    result = bench.batch(
        obedient, [{"query": "a"}, {"query": "raise"}], variants={"told": ["default", other]}, executor="ray"
    )
    assert [o.status for o in result] == ["completed", "completed", "failed", "completed"]
    assert result.settings.executor == "ray"
    assert result.settings.max_concurrency == 2  # the cluster's CPUs


def test_our_code_goes_to_the_cluster_by_its_name_and_data_as_text() -> None:
    sent = cloudpickle.dumps(run_across)  # type: ignore[no-untyped-call]
    assert b"wtb.sdk.batches.workers.crossing" in sent
    assert len(sent) < 100


ALONE = """
import sys
from pathlib import Path
import ray
from tests.sdk.batches.elsewhere import assigned, runner, spec
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.workers.ray_workers import RayWorkers

folder = Path(sys.argv[1])
with TestBench(WorkflowProject("notes", db_path=folder / "wtb.db", output_dir=folder / "out")) as bench:
    [assignment] = assigned(bench, "q")
    workers = RayWorkers(runner(bench), spec(bench), 1)
    print(workers.submit(assignment).result().status, ray.cluster_resources()["CPU"])
    workers.close()
    print(ray.is_initialized())
"""


@pytest.mark.soak
def test_without_a_cluster_one_is_started_and_ended(tmp_path: Path) -> None:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    ran = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["completed", "1.0", "False"]


def test_several_machines_cannot_share_a_file(quick_bench: TestBench) -> None:
    in_a_file = spec(quick_bench)
    check_store(in_a_file, machines=1)
    check_store(msgspec.structs.replace(in_a_file, location="postgresql://db/wtb"), machines=2)
    with pytest.raises(InvalidRequest, match="can't share a store in a file"):
        check_store(in_a_file, machines=2)
