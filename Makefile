# Everything from a clean clone. Debian 12 with Python 3.11 and make is enough; see .ci/ for what each step does.
#
#   make demo     make an environment, install the package, run the main job on real data
#   make test     all tests and checks (format, lint, types, C warnings, tests)
#   make fuzz     100,000 damaged model files through the reader, then 2,000 random cases of each family of ops through the kernels
#   make format   bring the sources into shape
#   make schema   docs/profile.schema.json, after the profile document was changed
#   make wheel    dist/*.whl
#   make clean    remove what the above left (make distclean: the environment as well)
#
# VENV=DIR puts the environment elsewhere; PYTHON=python3.12 makes it from another interpreter; JOBS=4 runs more tests at a time.

VENV ?= .venv
PYTHON ?= python3
JOBS ?= 2
FUZZ_RUNS ?= 100000
FUZZ_SEED ?= 1
FUZZ_SHAPES ?= 2000
DEMO_DIR ?= edgecompress-demo
export VENV PYTHON JOBS

# Two installations into one environment must not run at once.
.NOTPARALLEL:
.PHONY: demo test fuzz format schema wheel clean distclean help

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

demo:
	@.ci/environment.sh demo
	@"$$VENV/bin/edgecompress" demo -o "$(DEMO_DIR)"

test:
	@.ci/test.sh

fuzz:
	@.ci/environment.sh dev
	@"$$VENV/bin/python" tests/fuzz_reader.py --count "$(FUZZ_RUNS)" --seed "$(FUZZ_SEED)"
	@"$$VENV/bin/python" -m tests.fuzz_kernels --count "$(FUZZ_SHAPES)" --seed "$(FUZZ_SEED)" --jobs "$$JOBS"

format:
	@.ci/environment.sh dev
	@"$$VENV/bin/ruff" format .
	@"$$VENV/bin/ruff" check --fix .

schema:
	@.ci/environment.sh dev
	@"$$VENV/bin/python" -c 'from edgecompress.profile import profile_json_schema_text as text; print(text(), end="")' > docs/profile.schema.json

wheel:
	@.ci/environment.sh dev
	@"$$VENV/bin/python" -m hatchling build -t wheel -d dist

clean:
	rm -rf build dist edgecompress-demo .pytest_cache .mypy_cache .ruff_cache
	find edgecompress tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	[ ! -f "$$VENV/pyvenv.cfg" ] || rm -rf "$$VENV"
