"""Executions: start, resume, and everything that can be asked about them."""

from dataclasses import replace

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody
from msgspec import UNSET
from pydantic_core import to_jsonable_python

from wtb.domain.errors import ExecutionExists, ExecutionTaken
from wtb.interfaces.rest.commands import ResumeExecution, StartExecution
from wtb.interfaces.rest.parameters import Cursor, Id, Limit, OptionalText, Text
from wtb.interfaces.rest.served import Served
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.executions import Execution
from wtb.projections.page import Page
from wtb.projections.steps import Step
from wtb.sdk import State
from wtb.sdk.beginnings import UNANSWERED
from wtb.sdk.platform import new_execution_id
from wtb.sdk.results import Status


class Executions(Controller):
    path = "/executions"
    tags = ("executions",)

    @post(
        sync_to_thread=True,
        status_code=202,
        summary="Start an execution",
        responses={
            200: ResponseSpec(Execution, description="The same request started it before", generate_examples=False)
        },
    )
    def start(self, served: NamedDependency[Served], data: JSONBody[StartExecution]) -> Response[Execution]:
        """It is recorded when the answer comes, and runs on by itself."""
        graph, config = served.graph(data.workflow), data.config.for_langgraph()
        execution, status = data.execution_id or new_execution_id(), 202
        try:
            served.background.begin(
                execution,
                lambda: served.bench.stream(
                    graph, data.input, workflow=data.workflow, execution_id=execution, config=config
                ),
            )
        except (ExecutionExists, ExecutionTaken):
            if not data.is_how_it_began(served.bench, execution):
                raise
            status = 200
        return _reply(served, execution, status)

    @get(sync_to_thread=True, summary="Executions, newest first")
    def page(
        self,
        served: NamedDependency[Served],
        status: FromQuery[Status | None] = None,
        workflow: OptionalText = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Execution]:
        return served.bench.executions(status=status, workflow=workflow, limit=limit, cursor=cursor)

    @get("/{execution:str}", sync_to_thread=True, summary="An execution as it stands")
    def one(self, served: NamedDependency[Served], execution: Id) -> Execution:
        return served.bench.execution(execution)

    @get("/{execution:str}/steps", sync_to_thread=True, summary="Every try at every node, in order")
    def steps(self, served: NamedDependency[Served], execution: Id, limit: Limit = 1000) -> Page[Step]:
        return served.bench.steps(execution, limit=limit)

    @get("/{execution:str}/checkpoints", sync_to_thread=True, summary="Checkpoints, newest first")
    def checkpoints(
        self,
        served: NamedDependency[Served],
        execution: Id,
        namespace: OptionalText = None,
        limit: Limit = 1000,
    ) -> Page[Checkpoint]:
        return served.bench.checkpoints(execution, namespace=namespace, limit=limit)

    @get("/{execution:str}/state", sync_to_thread=True, summary="The state at a checkpoint, or the newest")
    def state(
        self,
        served: NamedDependency[Served],
        execution: Id,
        at: OptionalText = None,
        namespace: Text = "",
    ) -> State:
        """Values that JSON has no form for come as their text."""
        state = served.bench.state(execution, at, namespace=namespace)
        return replace(state, channels=to_jsonable_python(state.channels, serialize_unknown=True, bytes_mode="base64"))

    @post("/{execution:str}/resume", sync_to_thread=True, status_code=202, summary="Answer and go on")
    def resume(
        self, served: NamedDependency[Served], execution: Id, data: JSONBody[ResumeExecution]
    ) -> Response[Execution]:
        """The answer is recorded when the reply comes, and the execution goes on by itself."""
        answer = UNANSWERED if data.answer is UNSET else data.answer
        answers = None if data.answers is UNSET else data.answers
        served.background.begin(execution, lambda: served.bench.stream_resume(execution, answer, answers=answers))
        return _reply(served, execution, 202)


def _reply(served: Served, execution: str, status: int) -> Response[Execution]:
    headers = {"Location": f"/api/v1/executions/{execution}"}
    return Response(served.bench.execution(execution), status_code=status, headers=headers)
