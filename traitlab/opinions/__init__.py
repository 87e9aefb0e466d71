"""Opinion QA: rows, sources, splits, expectations, audit."""
