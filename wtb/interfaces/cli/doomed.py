"""The process that ``wtb demo`` kills: it runs the example and stops inside one of its parallel searches.

Stdin is a lease: it is read there until the end, so that the run goes on by
itself when the process that would have killed it is gone.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from wtb.interfaces.cli.shared import Shared
from wtb.sdk.loading import GraphFile

HELD = "search"
"""The node whose first start is held; it is begun several times at once."""


class HeldNode(BaseCallbackHandler):
    """Holds the first node of this name in the middle of its step."""

    raise_error = True

    def __init__(self) -> None:
        self._first = threading.Lock()

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: dict[str, Any], *, metadata: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if (metadata or {}).get("langgraph_node") == HELD and self._first.acquire(blocking=False):
            sys.stdin.buffer.read()


def main() -> None:
    told = json.loads(sys.argv[1])
    graph = GraphFile.read(Path(told["langgraph_json"])).load(told["workflow"])
    config = Path(told["config"]) if told["config"] else None
    with Shared(told["db"], config, json=True).bench() as bench:
        bench.run(
            graph,
            told["input"],
            workflow=told["workflow"],
            execution_id=told["execution_id"],
            config={"callbacks": [HeldNode()]},
        )


if __name__ == "__main__":
    main()
