"""What paths and queries may say. Databases hold no zero character, so no text has one."""

from typing import Annotated

from litestar.params import PathParameter, QueryParameter

NO_ZEROS = r"^[^\x00]*\Z"

Id = Annotated[str, PathParameter(pattern=NO_ZEROS)]

Text = Annotated[str, QueryParameter(pattern=NO_ZEROS)]
OptionalText = Annotated[str | None, QueryParameter(pattern=NO_ZEROS)]

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most")]
Cursor = Annotated[str | None, QueryParameter(description="The next_cursor of the page before")]
After = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Only events after this position")]
