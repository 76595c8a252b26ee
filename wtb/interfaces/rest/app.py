"""The HTTP application: routes, refusals, limits and the description of all of it."""

from collections.abc import Sequence

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

import wtb
from wtb.interfaces.rest.events import Events
from wtb.interfaces.rest.executions import Executions
from wtb.interfaces.rest.health import Health
from wtb.interfaces.rest.loopback import LoopbackOnly
from wtb.interfaces.rest.problems import respond
from wtb.interfaces.rest.served import Served

MAX_BODY_BYTES = 8 * 1024 * 1024


def http_app(served: Served, others: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The application; ``others`` are handlers outside ``/api/v1``."""
    return Litestar(
        [Router("/api/v1", route_handlers=[Health, Executions, Events]), *others],
        dependencies={"served": Provide(lambda: served, sync_to_thread=False)},
        exception_handlers={Exception: respond},
        middleware=[LoopbackOnly()],
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="WTB",
            version=wtb.__version__,
            description="Runs LangGraph workflows and keeps every step as an event.",
            render_plugins=[JsonRenderPlugin()],
        ),
    )
