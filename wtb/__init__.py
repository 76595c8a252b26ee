"""Workflow Test Bench: runs LangGraph workflows and keeps everything that happens as events.

The verbs are in `wtb.sdk`; importing `wtb` itself starts nothing and loads no room of the house.
"""

from importlib.metadata import version

__version__ = version("wtb")
