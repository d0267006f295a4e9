"""How long work tells of itself, and is asked to stop. How it runs elsewhere: `jobs` below."""
