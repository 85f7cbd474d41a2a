"""What Stagecraft costs, beside what it is compared with: `python -m tests.benchmarks`.

Every figure is a ratio or a difference within one run, from pairs that take turns, so that a machine which
is slower today is slower for both sides. Each has a target, and a run that misses one ends with an error.
The test suite runs all of them with few samples and looks at no figure: a busy machine proves nothing.
"""
