# Table of contents of the pipeline: a bottle's recipe in, a report on Li⁺ solvation out.
#   snakemake                                  all cores of this machine (profiles/default)
#   snakemake --workflow-profile slurm         a cluster (profiles/slurm)
from snakemake.utils import min_version

min_version("9.10")


include: "workflow/rules/common.smk"
include: "workflow/rules/compose.smk"
include: "workflow/rules/build.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/contacts.smk"
include: "workflow/rules/segments.smk"
include: "workflow/rules/scatter.smk"
include: "workflow/rules/quantum.smk"
include: "workflow/rules/describe.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/index.html",
        # The mark of every job that succeeded; with --batch only a part of the study is asked for.
        [] if "--batch" in sys.argv else STUDY.marks(),
