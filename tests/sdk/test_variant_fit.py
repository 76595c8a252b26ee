"""A variant that says of itself that it can't work in its node is refused; what says nothing passes."""

# mypy: disable-error-code="empty-body"

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel, RunnablePassthrough
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import MessagesState
from langgraph.managed import RemainingSteps
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Command, StreamWriter
from pydantic import BaseModel
from typing_extensions import TypedDict

from tests.sdk.given import Notes, chain, says
from wtb.domain.errors import InvalidVariant
from wtb.sdk import TestBench

INPUT = {"query": "q"}


class Wrong(TypedDict):
    notes: list[str]
    remark: str


class WrongModel(BaseModel):
    remark: str = ""


@dataclass
class WrongData:
    remark: str = ""


class Partial(TypedDict, total=False):
    notes: list[str]


class Private(TypedDict, total=False):
    notes: list[str]
    scratch: str


class Remark(TypedDict, total=False):
    remark: str


def inner(state: Any, **schemas: Any) -> Any:
    builder: Any = StateGraph(state, **schemas)
    builder.add_node("inner", lambda state: None)
    builder.add_edge(START, "inner")
    return builder.compile()


def typed(state: Notes) -> Wrong: ...
async def typed_coroutine(state: Notes) -> Wrong: ...
def modelled(state: Notes) -> WrongModel: ...
def data(state: Notes) -> WrongData | None: ...
def annotated(state: Notes) -> Annotated[Wrong, "something"]: ...
def message(state: Notes) -> AIMessage: ...
def leads_nowhere(state: Notes) -> Command[Literal["after", "nowhere"]]: ...
def one_of_two(state: Notes) -> Notes | Command[Literal["nowhere"]]: ...
def takes_nothing() -> Notes: ...
def takes_two(state: Notes, second: str) -> Notes: ...
def takes_a_keyword(state: Notes, *, second: str) -> Notes: ...


class Called:
    def __call__(self, state: Notes) -> Wrong: ...


MISFITS: dict[str, tuple[Any, str]] = {
    "TypedDict": (typed, "'remark'"),
    "coroutine": (typed_coroutine, "'remark'"),
    "model": (modelled, "'remark'"),
    "dataclass": (data, "'remark'"),
    "annotated": (annotated, "'remark'"),
    "callable": (Called(), "'remark'"),
    "method": (Called().__call__, "'remark'"),
    "partial": (functools.partial(typed), "'remark'"),
    "message": (message, "no channel"),
    "goto": (leads_nowhere, "'nowhere'"),
    "goto or keys": (one_of_two, "'nowhere'"),
    "no parameter": (takes_nothing, "positional"),
    "two parameters": (takes_two, "'second'"),
    "a keyword": (takes_a_keyword, "'second'"),
    "lambda": (RunnableLambda(typed), "'remark'"),
    "parallel": (RunnableParallel(notes=says("x"), remark=says("x")), "'remark'"),
    "sequence": (RunnableLambda(says("x")) | RunnableParallel(remark=says("x")), "'remark'"),
    "graph with nothing in common": (inner(Remark), "'remark'"),
    "graph that states its output": (inner(Private, output_schema=Wrong), "'remark'"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_cannot_work_is_refused_and_says_why(quick_bench: TestBench, case: str) -> None:
    implementation, told = MISFITS[case]
    graph = chain(answer=says("answer"), after=says("after"))
    quick_bench.project.variant("answer", "misfit", implementation)
    for attempt in (lambda: quick_bench.register(graph), lambda: quick_bench.run(graph, INPUT)):
        with pytest.raises(InvalidVariant, match=r"variant 'misfit' of node 'answer'.*" + told):
            attempt()
    assert quick_bench.log() == []


def untyped(state): ...  # type: ignore[no-untyped-def]
def partly(state: Notes) -> Partial: ...
def plain(state: Notes) -> dict[str, Any]: ...
def mapping(state: Notes) -> Mapping[str, str]: ...
def leads_on(state: Notes) -> Command[Literal["after", "__end__"]]: ...
def leads_anywhere(state: Notes) -> Command[str]: ...
def unresolved(state: Notes) -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821
def with_config(state: Notes, config: RunnableConfig) -> Notes: ...
def with_runtime(state: Notes, writer: StreamWriter, runtime: Runtime[None]) -> Notes: ...
def with_default(state: Notes, second: str = "", *more: str, **others: str) -> Notes: ...
def takes_anything(*args: Any, **kwargs: Any) -> Notes: ...


@entrypoint()
def functional(state: Notes) -> Notes: ...


FITTING: dict[str, Any] = {
    "untyped": untyped,
    "partly": partly,
    "plain": plain,
    "mapping": mapping,
    "goto": leads_on,
    "goto anywhere": leads_anywhere,
    "unresolved": unresolved,
    "config": with_config,
    "runtime": with_runtime,
    "default": with_default,
    "anything": takes_anything,
    "lambda": RunnableLambda(lambda state: {}),
    "passthrough": RunnablePassthrough.assign(notes=lambda state: ["x"]),
    "tools": ToolNode([]),
    "private state": inner(Private),
    "functional": functional,
}


@pytest.mark.parametrize("case", FITTING)
def test_what_says_nothing_wrong_passes(quick_bench: TestBench, case: str) -> None:
    quick_bench.project.variant("answer", "fitting", FITTING[case])
    quick_bench.register(chain(answer=says("answer"), after=says("after")))
    assert [row.name for row in quick_bench.variants()] == ["fitting"]


def test_the_channels_are_those_of_the_graph_that_the_node_is_in(quick_bench: TestBench) -> None:
    class Managed(MessagesState):
        remark: str
        steps: RemainingSteps

    def remarks(state: Managed) -> Remark: ...

    def whole(state: Managed) -> Managed: ...

    def hands_over(state: Managed) -> Command[Literal["outer", "inner"]]: ...

    builder: Any = StateGraph(Notes)
    builder.add_node("sub", inner(Managed))
    builder.add_node("outer", says("outer"))
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "outer")
    builder.add_edge("outer", END)
    for name, implementation in (("remarks", remarks), ("whole", whole), ("hands over", hands_over)):
        quick_bench.project.variant("sub/inner", name, implementation)
    quick_bench.register(builder)
    assert len(quick_bench.variants()) == 3
    with pytest.raises(InvalidVariant, match="'remark'"):
        quick_bench.run(builder, INPUT, variants={"outer": remarks})


def test_a_state_without_keys_takes_anything(quick_bench: TestBench) -> None:
    state: Any = Annotated[list[str], lambda a, b: a + b]
    builder: Any = StateGraph(state)
    builder.add_node("answer", lambda state: ["answer"])
    builder.add_edge(START, "answer")
    quick_bench.project.variant("answer", "typed", typed)
    quick_bench.register(builder)


def test_what_is_not_known_before_fails_as_it_runs(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "text", lambda state: "no mapping")
    result = quick_bench.run(chain(answer=says("answer")), INPUT, variants={"answer": "text"})
    assert result.error is not None
    assert (result.status, result.error.type, result.error.node) == ("failed", "InvalidUpdateError", "answer")
