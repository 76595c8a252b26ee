"""The bench: the front door, with every verb."""

from wtb.sdk.verbs.asking import AskingVerbs
from wtb.sdk.verbs.batching import BatchVerbs
from wtb.sdk.verbs.controlling import ControlVerbs
from wtb.sdk.verbs.keeping import KeepingVerbs
from wtb.sdk.verbs.registering import RegisterVerbs
from wtb.sdk.verbs.running import RunningVerbs
from wtb.sdk.verbs.travelling import TravelVerbs


class TestBench(RunningVerbs, TravelVerbs, ControlVerbs, RegisterVerbs, BatchVerbs, KeepingVerbs, AskingVerbs):
    """Runs a project's workflows with everything recorded, and answers what was recorded.

    Also a context manager. Safe to share between threads. Opening one raises
    `StoreError` when the project's database can't be used.
    """

    __test__ = False  # not a test class, for all that pytest can see
