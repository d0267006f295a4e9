"""What the pages share: cached resources, the state that travels, widgets, and served pictures."""
