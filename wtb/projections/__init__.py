"""Read models: what can be asked.

Each file is one of them: its row, its table, how facts change it, its queries.
"""
