"""Example workflows that know nothing of WTB."""
