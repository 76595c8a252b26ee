"""What is true: facts, states, decisions and refusals.

Pure by contract: pydantic and the standard library only, no I/O, no clock, and
no identifier is made here; times and ids arrive as arguments.
"""
