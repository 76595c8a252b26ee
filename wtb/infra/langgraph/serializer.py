"""LangGraph's msgpack serializer in its strict form: nothing outside a graph's own schemas is built on reading."""

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer


def strict_serializer() -> JsonPlusSerializer:
    """Writes whatever msgpack can hold, never pickle; reads back LangGraph's safe types.

    Types of a graph's schemas are added per graph by ``with_allowlist``; others
    come back as the plain data they were made of.
    """
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
