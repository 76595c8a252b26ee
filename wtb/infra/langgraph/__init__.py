"""LangGraph as the engine: the checkpointer, the node shell, and where graphs are found."""
