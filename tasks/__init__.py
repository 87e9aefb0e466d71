"""One module per step of the graph: read files, call traitlab, write files. No science here."""
