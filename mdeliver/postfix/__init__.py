"""Postfix: its settings, its log, and what both say about mail that does not come through."""
