"""A batch's result as people and programs read it: tables, frames, JUnit, Markdown, JSON and HTML."""
