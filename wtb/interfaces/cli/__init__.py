"""The command line: parse, one verb, print.

`main` is its face and imports nothing heavy, so that help and shell completion
are quick; what a command does is imported when it is called.
"""
