"""The page: tables, charts, numbers as they are read."""
