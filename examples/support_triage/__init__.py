"""A support desk that triages e-mails: a plain LangGraph graph over plain text files."""
