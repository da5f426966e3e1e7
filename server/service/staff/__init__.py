"""The staff pages: how delivery stands, and what only a person can decide; ids and states, no clinical value."""
