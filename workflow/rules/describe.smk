# Everything that is said about one state point, from all its replicas.
rule describe:
    input:
        composition=rules.compose.output.composition,
        atoms="results/{formulation}/r1/atoms.parquet",
        runs=lambda wildcards: expand(
            "results/{{formulation}}/{{temperature}}K/r{replica}/{file}",
            replica=STUDY.replicas(wildcards.formulation),
            file=["contacts.arrow", "rdf.npz", "run.json", ".contacts"],
        ),
        segments=lambda wildcards: expand(
            "results/{{formulation}}/{{temperature}}K/r{replica}/t{segment}/{file}",
            replica=STUDY.replicas(wildcards.formulation),
            segment=STUDY.segments,
            file=["contacts.arrow", "run.json", *STUDY.segment_logs, ".segment_contacts"],
        ),
        scattering=lambda wildcards: expand(
            "results/{{formulation}}/{{temperature}}K/r{replica}/{file}",
            replica=STUDY.replicas(wildcards.formulation),
            file=STUDY.scattering_files(wildcards.formulation),
        ),
        energies=lambda wildcards: expand(
            "results/{{formulation}}/{{temperature}}K/r{replica}/{file}",
            replica=STUDY.replicas(wildcards.formulation),
            file=STUDY.quantum_files,
        ),
        measured=lambda wildcards: [str(path) for path in STUDY.measured(wildcards.formulation)],
        # Whole frames to cut shells out of. Not the trajectory: who deletes that has not asked for it to be run again.
        sample="results/{formulation}/{temperature}K/r1/sample.xtc",
    output:
        table=update("results/{formulation}/{temperature}K/descriptors.parquet"),
        csv=update("results/{formulation}/{temperature}K/descriptors.csv"),
        described=update("results/{formulation}/{temperature}K/described.json"),
        tables=update(directory("results/{formulation}/{temperature}K/tables")),
        snapshots=update(directory("results/{formulation}/{temperature}K/snapshots")),
        done=touch("results/{formulation}/{temperature}K/.describe"),
    log:
        "logs/describe/{formulation}.{temperature}K.log",
    params:
        options=lambda wildcards: STUDY.describe_text(wildcards.formulation),
        stage=stages.DESCRIBE,
    shell:
        "{PY:q} -m lmbmd describe results/{wildcards.formulation}/{wildcards.temperature}K"
        " --composition {input.composition:q} --atoms {input.atoms:q} --study {STUDY_FILE:q} > {log:q} 2>&1"
