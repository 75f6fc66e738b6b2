# How good the force field is: force_fields/<set>/validation.csv, docs/validation.md and its plot, from runs of its own. It
# writes into the repository, and so needs a checkout of it.
#   snakemake --snakefile workflow/validation.smk --cores 2                      small: hours on two cores
#   snakemake --snakefile workflow/validation.smk --cores 8 --config full=true   full size: for a GPU
#   snakemake --snakefile workflow/validation.smk --cores 2 --config engine=gromacs   liquids quicker without a GPU
#   snakemake --snakefile workflow/validation.smk --cores 2 liquids              one part: liquids, pairs, steps, electrolytes
#   snakemake --snakefile workflow/validation.smk --cores 2 --config engine=gromacs transport   self-diffusion and viscosity
# Stopped runs go on where they were: their checkpoints lie beside the marks that Snakemake looks at, undeclared.
import sys
from pathlib import Path

import yaml

ROOT = Path(workflow.basedir).parent
FULL = str(config.get("full", False)).lower() in ("true", "1", "yes")
SIZE = "full" if FULL else "small"
FLAG = "--full" if FULL else ""
ENGINE = "--engine gromacs" if config.get("engine") == "gromacs" else ""


# Its own folder, so that it and the study of this repository can run at the same time.
workdir: ROOT / "work" / ("validation-full" if FULL else "validation")


PY = sys.executable
REFERENCE = yaml.safe_load((ROOT / "force_fields/reference.yaml").read_text(encoding="utf-8"))
SET = ROOT / "force_fields" / REFERENCE["sets"][0] / "manifest.yaml"
LIQUIDS = expand("done/{set}/liquid-{liquid}", set=REFERENCE["sets"], liquid=REFERENCE["liquids"])
ELECTROLYTES = ROOT / "force_fields" / "electrolytes"


wildcard_constraints:
    liquid=r"[A-Za-z0-9]+",
    set=r"[a-z0-9.-]+",


localrules:
    validation,
    liquids,
    report,


# The marks themselves, not only the page: a page that lies there already does not say what it was made from.
rule validation:
    default_target: True
    input:
        LIQUIDS,
        "done/steps",
        "done/pairs",
        "done/electrolytes",
        ROOT / "docs/validation.md",


rule liquids:
    input:
        LIQUIDS,


# One liquid and its vapour. A mark older than the parameter set only looks whether its species are still the same.
rule liquid:
    input:
        ROOT / "force_fields/{set}/manifest.yaml",
    output:
        touch("done/{set}/liquid-{liquid}"),
    log:
        "logs/{set}-{liquid}.log",
    threads: 2
    shell:
        "OPENMM_CPU_THREADS={threads} {PY:q} -m lmbmd validate liquids {FLAG} {ENGINE} --set {wildcards.set}"
        " --only {wildcards.liquid} --work . > {log:q} 2>&1"


# Self-diffusion and viscosity in the default set, after the liquids that they start from. Only GROMACS can, and only this
# target asks for it: with engine=gromacs, or each liquid runs twice.
rule transport:
    input:
        [f"done/{REFERENCE['sets'][0]}/liquid-{n}" for n, facts in REFERENCE["liquids"].items() if "viscosity" in facts],
    output:
        touch("done/transport"),
    log:
        "logs/transport.log",
    threads: 2
    shell:
        "OMP_NUM_THREADS={threads} {PY:q} -m lmbmd validate transport {FLAG} --work . > {log:q} 2>&1"


# 4 fs against 2 and 1 fs, and the drift of the energy.
rule steps:
    input:
        SET,
    output:
        touch("done/steps"),
    log:
        "logs/steps.log",
    threads: 2
    shell:
        "OPENMM_CPU_THREADS={threads} {PY:q} -m lmbmd validate time-step {ENGINE} --work . > {log:q} 2>&1"


# Li⁺ and every neutral molecule: force field, GFN2-xTB, and PBE0 for those whose order must hold.
rule pairs:
    input:
        SET,
    output:
        touch("done/pairs"),
    log:
        "logs/pairs.log",
    shell:
        "{{ {PY:q} -m lmbmd validate pairs --quantum --work ."
        " && {PY:q} -m lmbmd validate pairs --dft --work .; }} > {log:q} 2>&1"


# Ordinary studies of lmbmd, in a folder of their own.
rule electrolytes:
    input:
        study=ELECTROLYTES / f"{SIZE}.yaml",
        formulations=[ELECTROLYTES / f"formulations/{name}.yaml" for name in REFERENCE["electrolytes"]],
        set=SET,
    output:
        touch("done/electrolytes"),
    log:
        "logs/electrolytes.log",
    threads: workflow.cores
    shell:
        "mkdir -p electrolytes && {PY:q} -m snakemake --snakefile {ROOT:q}/Snakefile --directory electrolytes"
        " --cores {threads} --config study={input.study:q} > {log:q} 2>&1"


# Results of runs that nobody can repeat lie beside the sets, in validation.csv: they are added to, and so are no output here,
# which Snakemake would delete first.
rule report:
    input:
        rules.validation.input[:-1],
        ROOT / "force_fields/reference.yaml",
    output:
        ROOT / "docs/validation.md",
        ROOT / "docs/images/parity.svg",
    shell:
        "{PY:q} -m lmbmd validate report {FLAG} --work ."
