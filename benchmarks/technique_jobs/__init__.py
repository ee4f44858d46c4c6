"""Behind `benchmarks/techniques.py`: data and starts (`images`, `speech`, `tasks`), rows as data (`rows`, *.toml), a row's job, the table."""
