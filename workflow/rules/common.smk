# The study, validated before any job exists. Everything the rules ask of it is a method of `STUDY`.
import sys

from lmbmd.core import stages
from lmbmd.simulate import places
from lmbmd.study.planning import (
    bottle_of_this_job,
    collect_garbage_again,
    forget_copies_of_a_killed_run,
    forget_empty_logs,
    how_it_ended,
    plan_without_garbage_collection,
    say_less_of_long_lists,
    what_an_upgrade_makes_again,
)
from lmbmd.study.study import load_study_or_exit

plan_without_garbage_collection()
say_less_of_long_lists()


onstart:
    collect_garbage_again()
    forget_copies_of_a_killed_run()
    for sentence in what_an_upgrade_makes_again():
        print(sentence, file=sys.stderr, flush=True)


onsuccess:
    forget_empty_logs()
    print(how_it_ended(STUDY), file=sys.stderr, flush=True)


onerror:
    print(how_it_ended(STUDY), file=sys.stderr, flush=True)


# An output is update(): Snakemake would otherwise delete what was finished before its successor is whole, and again when a
# job fails. But it also takes the note of what a failed job was asked for as that of the old file. So each rule has a mark,
# touch(), that comes with success only, and the next rule asks for it.


# The interpreter that runs Snakemake runs the jobs. A global, not a param: its path must not rerun anything.
PY = sys.executable
STUDY_FILE = config.get("study", "config/config.yaml")
# On a cluster each job reads this file again: for its own bottle, so that nobody else's fault fails it.
ONLY = bottle_of_this_job(sys.argv)
STUDY = load_study_or_exit(STUDY_FILE, other_keys=set(config) - {"study"}, only=ONLY)


def threads_of_run(wildcards):
    """Of a simulation: its share of this host's cores, if the study says how many runs share it; a cluster's own count."""
    here = workflow.local_exec and not workflow.remote_exec
    return places.threads_of_run(STUDY.platform, workflow.resource_settings.cores if here else None)


wildcard_constraints:
    formulation=r"[a-z0-9][a-z0-9._-]*",
    temperature=r"\d+(\.\d+)?",
    replica=r"\d+",
    segment=r"\d+",


localrules:
    all,
    compose,
