"""Behind `benchmarks/techniques.py`: data (images, speech, tasks), rows (rows, *.toml), a row's job (job, store), the table."""
