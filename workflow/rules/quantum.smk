# Energies of shells, if the study asks for them: some shells of each class are drawn when the cut-offs are known, with the
# trajectory; what is computed of them needs no trajectory. A computation that fails is an outcome and fails no job.
rule draw:
    input:
        composition=rules.compose.output.composition,
        atoms=rules.build.output.atoms,
        trajectory=rules.simulate.output.trajectory,
        simulated=rules.simulate.output.done,
        contacts=rules.contacts.output.contacts,
        rdfs=lambda wildcards: expand(
            "results/{{formulation}}/{{temperature}}K/r{replica}/{file}",
            replica=STUDY.replicas(wildcards.formulation),
            file=["rdf.npz", ".contacts"],
        ),
    output:
        shells=update("results/{formulation}/{temperature}K/r{replica}/shells.json"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/.draw"),
    log:
        "logs/draw/{formulation}.{temperature}K.r{replica}.log",
    params:
        options=lambda wildcards: STUDY.draw_text(wildcards.formulation),
        stage=stages.DRAW,
    shell:
        "{PY:q} -m lmbmd draw results/{wildcards.formulation}/{wildcards.temperature}K {wildcards.replica}"
        " --composition {input.composition:q} --atoms {input.atoms:q} --trajectory {input.trajectory:q}"
        " --study {STUDY_FILE:q} > {log:q} 2>&1"


rule quantum:
    input:
        shells=rules.draw.output.shells,
        drawn=rules.draw.output.done,
    output:
        energies=update("results/{formulation}/{temperature}K/r{replica}/energies.json"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/.quantum"),
    log:
        "logs/quantum/{formulation}.{temperature}K.r{replica}.log",
    threads: 8
    params:
        options=STUDY.quantum_text(),
        stage=stages.QUANTUM,
    shell:
        "{PY:q} -m lmbmd quantum results/{wildcards.formulation}/{wildcards.temperature}K {wildcards.replica}"
        " --workers {threads} --study {STUDY_FILE:q} > {log:q} 2>&1"
