"""Generated for Hopper: importable, and run through every check before they were committed."""
