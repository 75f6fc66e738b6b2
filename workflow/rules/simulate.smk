# The MD. All its physics is in `physics`, which becomes spec.json, so that nothing but physics reruns it.
# The work folder is not declared: Snakemake would empty it before a retry, and it holds the checkpoints.
rule simulate:
    input:
        system=rules.build.output.system,
        start=rules.build.output.start,
        atoms=rules.build.output.atoms,
        built=rules.build.output.done,
    output:
        spec=update("results/{formulation}/{temperature}K/r{replica}/spec.json"),
        trajectory=update("results/{formulation}/{temperature}K/r{replica}/trajectory.xtc"),
        state=update("results/{formulation}/{temperature}K/r{replica}/state.csv"),
        final=update("results/{formulation}/{temperature}K/r{replica}/final.pdb"),
        run=update("results/{formulation}/{temperature}K/r{replica}/run.json"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/.simulate"),
    log:
        "logs/simulate/{formulation}.{temperature}K.r{replica}.log",
    threads: threads_of_run
    params:
        physics=lambda wildcards: STUDY.spec_text(wildcards.formulation, wildcards.temperature, wildcards.replica),
        stage=stages.SIMULATE,
        work="work/{formulation}/{temperature}K/r{replica}",
    shell:
        # exec: a SIGTERM must reach the simulation itself, which then writes its checkpoint.
        # --fresh: other physics in spec.json were asked for in the study; the run they replace is set aside, not lost.
        "{PY:q} -m lmbmd spec {wildcards.formulation} {wildcards.temperature} {wildcards.replica}"
        " --study {STUDY_FILE:q} --out {output.spec:q} > {log:q} 2>&1 && "
        "exec {PY:q} -m lmbmd simulate --spec {output.spec:q} --system {input.system:q} --start {input.start:q}"
        " --atoms {input.atoms:q} --work {params.work:q}"
        " --out results/{wildcards.formulation}/{wildcards.temperature}K/r{wildcards.replica}"
        " --study {STUDY_FILE:q} --log {log:q} --threads {threads} --fresh"
