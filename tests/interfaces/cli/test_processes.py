"""``wtb`` in processes of its own: killed, interrupted, followed from beside, read through a pipe."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import wtb
from tests.interfaces.cli.support import Folder, Process, command
from wtb.interfaces.cli.refusals import EXIT_CODES

HI = '{"query": "hi"}'


@pytest.fixture
def killed(folder: Folder) -> str:
    """An execution whose process was killed while its second node ran."""
    Path("hold").touch()
    with closing(folder.bench()) as bench, folder.start("run", "agent:held", "-i", HI) as process:
        execution = folder.wait_for_start("hold", bench)
        process.kill()
    Path("hold").unlink()
    return execution


def test_a_killed_run_is_recovered_by_another_process_without_its_finished_node(folder: Folder, killed: str) -> None:
    assert "Its process is gone. Finish it with: wtb recover" in folder.wtb("show", killed).out
    outcome = folder.finish("recover", "--graph", "agent:held", "--json")
    assert outcome.code == 0, outcome.err
    told = outcome.json
    assert [(result["execution_id"], result["status"]) for result in told["results"]] == [(killed, "completed")]
    assert told["results"][0]["state"]["notes"] == ["first", "hold"]
    assert folder.ran() == ["first", "hold", "hold"]
    steps = folder.wtb("steps", killed, "--json").json["items"]
    assert [(step["node"], step["status"]) for step in steps] == [
        ("first", "completed"),
        ("hold", "lost"),
        ("hold", "completed"),
    ]


def test_one_execution_is_recovered_by_its_id(folder: Folder, killed: str) -> None:
    outcome = folder.wtb("recover", killed, "--graph", "agent.py:held")
    assert outcome.code == 0
    assert killed in outcome.out
    assert folder.ran() == ["first", "hold", "hold"]


def test_a_graph_recovers_only_executions_of_its_own_workflow(folder: Folder, killed: str) -> None:
    outcome = folder.wtb("recover", "--graph", "agent:plain", "--json")
    assert outcome.code == EXIT_CODES["workflow-not-found"]
    assert [(each["execution_id"], each["code"]) for each in outcome.json["left"]] == [(killed, "workflow-not-found")]
    shown = folder.wtb("recover")
    assert shown.code == EXIT_CODES["workflow-not-found"]
    assert f"execution {killed} is left as it was" in shown.err
    assert "hint: Name its graph with --graph" in shown.err
    assert folder.ran() == ["first", "hold"]


def test_doctor_tells_of_executions_whose_process_died(folder: Folder, killed: str) -> None:
    found = {check["name"]: check for check in folder.wtb("doctor", "--json").json["checks"]}
    assert found["executions"]["outcome"] == "warning"
    assert killed in found["executions"]["detail"]
    assert "wtb recover" in found["executions"]["hint"]


def test_an_execution_that_another_process_runs_is_not_taken(folder: Folder) -> None:
    Path("hold").touch()
    with closing(folder.bench()) as bench, folder.start("run", "agent:held", "-i", HI) as process:
        execution = folder.wait_for_start("hold", bench)
        for words in (("recover", execution), ("resume", execution, "--answer", "x")):
            outcome = folder.wtb(*words, "--graph", "agent:held")
            assert outcome.code == EXIT_CODES["execution-taken"]
            assert "is being run by worker" in outcome.err
        assert folder.wtb("show", execution, "--json").json["alive"] is True
        assert folder.wtb("recover").out == "nothing to recover\n"
        Path("hold").unlink()
        process.communicate()
    assert process.returncode == 0
    assert folder.ran() == ["first", "hold"]


@pytest.mark.parametrize("node", ["hold", "ahold"])
def test_ctrl_c_ends_a_run_with_130_and_says_what_became_of_it(folder: Folder, node: str) -> None:
    Path("hold").touch()
    graph = {"hold": "agent:held", "ahold": "agent:aheld"}[node]
    with closing(folder.bench()) as bench, folder.start("run", graph, "-i", HI) as process:
        execution = folder.wait_for_start(node, bench)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == f"error: interrupted; execution {execution} is cancelled\n"
    assert folder.wtb("show", execution, "--json").json["status"] == "cancelled"


def test_follow_tells_another_processs_events_as_they_come_and_ends_with_its_execution(folder: Folder) -> None:
    Path("hold").touch()
    with (
        closing(folder.bench()) as bench,
        folder.start("run", "agent:held", "-i", HI, "--execution-id", "one") as run,
    ):
        folder.wait_for_start("hold", bench)
        followed(folder, run)


def followed(folder: Folder, run: "Process") -> None:
    with folder.start("events", "one", "--follow", "--json") as follower:
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline()) for _ in range(8)]
        # The node still runs, and what has happened so far was told.
        assert (seen[-1]["type"], seen[-1]["data"]["node"]) == ("wtb.NodeStarted", "hold")
        Path("hold").unlink()
        seen += [json.loads(line) for line in follower.stdout]
        run.communicate()
    assert follower.returncode == 0
    assert seen[-1]["type"] == "wtb.ExecutionCompleted"
    assert seen == [json.loads(line) for line in folder.wtb("events", "one", "--json").out.splitlines()]


def test_ctrl_c_ends_following_with_130(folder: Folder) -> None:
    folder.wtb("run", "agent:plain", "-i", HI)
    with folder.start("events", "--follow") as follower:
        assert follower.stdout is not None
        for line in follower.stdout:
            if "ExecutionCompleted" in line:
                break
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate()
    assert (follower.returncode, err) == (130, "error: interrupted\n")


@pytest.mark.parametrize("words", [("events", "--json"), ("list",)])
def test_a_reader_that_goes_away_is_no_noise(folder: Folder, words: tuple[str, ...]) -> None:
    folder.wtb("run", "agent:plain", "-i", HI)
    read, write = os.pipe()
    os.close(read)
    with folder.start(*words, stdout=write) as process:
        os.close(write)
        _, err = process.communicate()
    assert (process.returncode, err) == (141, "")


def test_progress_shows_on_a_terminal_alone(folder: Folder) -> None:
    ours, theirs = pty.openpty()
    with folder.start("run", "agent:held", "-i", HI, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        out, _ = process.communicate()
        shown = terminal_output(ours)
    assert process.returncode == 0
    assert "✓ first" in shown
    assert "✓ hold" in shown
    assert "✓" not in out
    outcome = folder.finish("run", "agent:held", "-i", HI)
    assert (outcome.code, outcome.err) == (0, "")


def terminal_output(terminal: int) -> str:
    """All that was written to a terminal whose other side is closed, without its colours."""
    written = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            part = b""
        if not part:
            os.close(terminal)
            return "".join(
                piece.partition("m")[2] if i else piece for i, piece in enumerate(written.decode().split("\x1b["))
            )
        written += part


# --- what isn't installed -----------------------------------------------------------------------------


def test_serve_without_the_server_extra_says_what_to_install(folder: Folder) -> None:
    without = "import sys; sys.modules.update(dict.fromkeys(('litestar', 'uvicorn', 'grpc', 'nats')))\n"
    start = without + "from wtb.__main__ import app; app(['serve'], prog_name='wtb')"
    outcome = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert outcome.returncode == EXIT_CODES["not-installed"]
    assert outcome.stderr.splitlines()[1] == "hint: pip install 'wtb[server]'"


def test_the_demo_without_a_checkout_says_where_it_is(folder: Folder) -> None:
    """The package alone, as pip installs it."""
    package = Path("site-packages/wtb")
    shutil.copytree(Path(wtb.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    outcome = folder.start("demo", env={**os.environ, "PYTHONPATH": str(package.parent.absolute())})
    out, err = outcome.communicate()
    assert (outcome.returncode, out) == (EXIT_CODES["not-installed"], "")
    assert err.splitlines() == [
        "error: the demo runs examples/support_triage, which is in WTB's repository and not in the installed package",
        "hint: Run `make demo` in a checkout.",
    ]


# --- help ---------------------------------------------------------------------------------------------


def test_help_imports_neither_langgraph_nor_sqlalchemy(folder: Folder) -> None:
    """Shell completion asks at every tab."""
    ask = "import sys\nfrom wtb.interfaces.cli.main import app\ntry: app(['run', '--help'])\nexcept SystemExit: pass\n"
    tell = "sys.exit(' '.join({'langgraph', 'langchain_core', 'sqlalchemy'} & set(sys.modules)))"
    outcome = subprocess.run([sys.executable, "-c", ask + tell], capture_output=True, text=True, check=False)
    assert (outcome.stderr.strip(), "--input" in outcome.stdout) == ("", True)


def test_a_shell_can_complete(folder: Folder) -> None:
    environment = {**os.environ, "_WTB_COMPLETE": "complete_bash", "COMP_WORDS": "wtb res", "COMP_CWORD": "1"}
    outcome = subprocess.run(command(), env=environment, capture_output=True, text=True, check=False)
    assert outcome.stdout.split() == ["resume"]
