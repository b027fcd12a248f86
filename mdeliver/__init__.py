"""mdeliver: a local mail delivery agent that loses nothing and explains everything."""

__version__ = "0.1.0"
