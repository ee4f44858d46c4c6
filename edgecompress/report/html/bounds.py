"""How much one page holds, so that 500 profiles stay below 5 MB. What is left out is said on the page, by number."""

MOST_TABLE_COLUMNS = 10
"""Up to this many profiles are columns of the table, as in the terminal; more are its rows, which a script can sort and filter."""
MOST_BARS = 40
"""Profiles in a chart of stacked bars."""
MOST_LABELLED_POINTS = 24
"""Points of a scatter chart with their numbers; with more, those on the Pareto front alone have theirs."""
MOST_POINTS = 600
"""Points of a scatter chart."""
MOST_SERIES = 4
"""Profiles beside each other in one chart of ops."""
MOST_OP_CHARTS = 8
MOST_OPS = 60
"""Layers of one chart, the costliest ones."""
MOST_PAIRS_OF_OPS = 30_000_000
"""Products of the numbers of ops of two profiles that are held against each other, added up: some seconds."""
MOST_ARENAS = 8
"""Charts of memory plans; profiles with the same plan share one."""
MOST_BUFFERS = 160
"""Buffers drawn of one plan, the largest ones."""
MOST_BUFFERS_IN_USE = 400
"""Buffers of a plan of which the bytes in use are counted step by step."""
MOST_HISTORIES = 24
MOST_STEPS = 40
"""Steps shown of one compression."""
MOST_SETTINGS = 60
"""Settings shown of one step."""
MOST_ENVIRONMENTS = 24
MOST_FACTS = 40
"""Facts of one environment."""
MOST_REPRODUCED = 60
"""Profiles whose commands are shown."""
MOST_COMMANDS = 8
"""Commands of one profile."""
MOST_NAMED = 60
"""Profiles whose numbers are listed in one sentence."""

NAME_LENGTH = 160
"""Characters of a profile's name in tables; charts have room for fewer."""
LABEL_LENGTH = 30
"""Characters of a name inside a chart: what 350 pixels hold beside a number."""
CELL_LENGTH = 400
"""Characters of one cell of the table."""
CELL_LENGTH_OF_MANY = 80
"""The same where profiles are rows, so many of them."""
COMMAND_LENGTH = 1_000
PAGE_COMMAND_LENGTH = 100_000
"""Of the command that made the page, which names all its files."""
