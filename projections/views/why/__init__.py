"""Why something runs, and why something did not happen: the chain from a commit to a container.

traces.py      a view: where the log speaks of a word that a person may know
subjects.py    what a word means: a service, a container, a Release or a commit
record.py      the stored events that an answer is made from
answer.py      the answer: a sentence, the steps of the chain, the reasons against
words.py       one event in words a person understands (words_*.py, phrases.py)
chain.py       which events led to a Release, and what it did
standing.py    what stands between an environment and what Git shows
releases.py    the answer for a Release
revisions.py   the answer for a commit
services.py    the answer for a service and for a container

An answer is a pure function of stored events: it asks no engine, no Git and no clock, so it is the same for
an auditor a year later. What a person wants to know is found by the names in events (Release, commit,
Manifest, container) and their order, and by causes where two events belong together. To follow causes alone
was dropped: a rollback was caused by a person, while what it runs was rendered for a commit long before.
"""
