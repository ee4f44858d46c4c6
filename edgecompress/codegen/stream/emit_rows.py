"""The C of a model that asks the application for rows of its input: what the application writes, and steps that can fail."""

from __future__ import annotations

from edgecompress.codegen.ctext import INDENT
from edgecompress.codegen.program import Program
from edgecompress.codegen.stream.block import StreamStep, asked_rows


def rows_declaration(program: Program) -> str:
    """The header's part of a program whose input is called for."""
    (block,) = (step.block for step in program.steps if isinstance(step, StreamStep) and step.block.calls_for_rows)
    name, graph, asked = program.name, program.graph, asked_rows(block)
    called = block.chain.source
    tensor = graph.tensor(called)
    _, height, width, channels = tensor.shape
    size = tensor.bytes // height
    index = graph.inputs.index(called)
    return f"""
/* Written by the application: put rows [first_row, first_row + rows) of input {index} at `to`, {size} bytes a row ({width} pixels of
 * {channels}). Invoke calls it for {_which(asked, height)} in order, each once, a few at a time. The input is never in memory as a
 * whole, and {name}_input gives NULL for it. `arena` is the one that invoke got; `to` lies within it, and nothing else of it may
 * be written. Return EC_OK; any other value ends the invoke or step, which returns it. */
int {name}_input_rows(void *arena, int first_row, int rows, int8_t *to);
"""


def _which(asked: int, height: int) -> str:
    return f"all {height} rows" if asked == height else f"the first {asked} of {height} rows (no more are needed)"


def fallible_run(name: str, upper: str, rows: str) -> str:
    """Invoke and step, where a step may end the inference."""
    return f"""\
static int (*const steps[{upper}_STEP_COUNT])(uint8_t *arena) = {{
{rows}}};

int {name}_invoke(void *arena)
{{
{INDENT}for (int step = 0; step < {upper}_STEP_COUNT; step++) {{
{INDENT * 2}const int status = steps[step]((uint8_t *)arena);
{INDENT * 2}if (status != EC_OK)
{INDENT * 3}return status;
{INDENT}}}
{INDENT}return EC_OK;
}}

int {name}_step(void *arena, int step)
{{
{INDENT}if (step < 0 || step >= {upper}_STEP_COUNT)
{INDENT * 2}return EC_ERROR_INDEX;
{INDENT}return steps[step]((uint8_t *)arena);
}}
"""
