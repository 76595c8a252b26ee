"""What it costs to go through a past execution again, beside running its graph with no checkpointer."""

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from wtb.sdk.replay_report import ReplayReport


def replay(rounds: int, steps: int, messages: int) -> list[Figure]:
    """A loop, and a conversation whose messages' ids were made up; the record is read anew each time."""
    figures: list[Figure] = []
    for name, builder, state in (
        (f"replay {steps} steps", graphs.loop(steps), graphs.counting(1000)),
        (f"replay {messages} messages", graphs.chat(messages), graphs.chatting()),
    ):
        graph = builder.compile()
        with contenders.bench(None, "NORMAL") as (bench, _):
            execution = bench.run(graph, state, config={"recursion_limit": graphs.ENDLESS}).execution_id
            reports: list[ReplayReport] = []
            taken = interleaved(
                {
                    "run, no checkpointer": lambda: contenders.bare(builder, state),  # noqa: B023
                    "replay": lambda: seconds(lambda: reports.append(bench.replay(execution))),  # noqa: B023
                },
                rounds,
            )
            assert all(report.identical for report in reports)
            assert all(report.nodes_called == report.routers_called == 0 for report in reports)
        found = ratio(taken, "replay", "run, no checkpointer")
        figure = Figure(name, "ms", medians(taken, 1000), {"replay / run": found}, note="0 nodes, 0 routers called")
        if steps == reports[0].steps:
            figure.goal, figure.met = "≤ 1.5", found <= 1.5
        figures.append(figure)
    return figures
