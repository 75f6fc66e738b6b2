# The MD. Its command line never changes and all its physics is in spec.json, so that nothing but physics reruns it.
# The work folder is not declared: Snakemake would empty it before a retry, and it holds the checkpoints.
rule spec:
    output:
        "results/{formulation}/{temperature}K/r{replica}/spec.json",
    params:
        physics=lambda wildcards: STUDY.spec_text(wildcards.formulation, wildcards.temperature, wildcards.replica),
        stage=stages.SIMULATE,
    log:
        "logs/spec/{formulation}.{temperature}K.r{replica}.log",
    shell:
        "{PY:q} -m lmbmd spec {wildcards.formulation} {wildcards.temperature} {wildcards.replica}"
        " --study {STUDY_FILE:q} --out {output:q} > {log:q} 2>&1"


rule simulate:
    input:
        spec=rules.spec.output,
        system=rules.build.output.system,
        start=rules.build.output.start,
        atoms=rules.build.output.atoms,
    output:
        trajectory="results/{formulation}/{temperature}K/r{replica}/trajectory.xtc",
        state="results/{formulation}/{temperature}K/r{replica}/state.csv",
        final="results/{formulation}/{temperature}K/r{replica}/final.pdb",
        run="results/{formulation}/{temperature}K/r{replica}/run.json",
    params:
        work="work/{formulation}/{temperature}K/r{replica}",
        out=lambda wildcards, output: output.run.rpartition("/")[0],
    threads: 8
    log:
        "logs/simulate/{formulation}.{temperature}K.r{replica}.log",
    shell:
        # exec: a SIGTERM must reach the simulation itself, which then writes its checkpoint.
        # --fresh: other physics in spec.json were asked for in the study; the run they replace is set aside, not lost.
        "exec {PY:q} -m lmbmd simulate --spec {input.spec:q} --system {input.system:q} --start {input.start:q}"
        " --atoms {input.atoms:q} --work {params.work:q} --out {params.out:q} --study {STUDY_FILE:q} --log {log:q}"
        " --threads {threads} --fresh"
