# Scattering, if the study asks for it: a second pass over some frames of the trajectory, when the cut-offs are known, for
# intensities in parts by the class of each molecule's cluster.
rule scatter:
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
        sums=update("results/{formulation}/{temperature}K/r{replica}/scattering.npz"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/.scatter"),
    log:
        "logs/scatter/{formulation}.{temperature}K.r{replica}.log",
    params:
        options=lambda wildcards: STUDY.scattering_text(wildcards.formulation),
        stage=stages.SCATTER,
    shell:
        "{PY:q} -m lmbmd scatter results/{wildcards.formulation}/{wildcards.temperature}K {wildcards.replica}"
        " --composition {input.composition:q} --atoms {input.atoms:q} --trajectory {input.trajectory:q}"
        " --study {STUDY_FILE:q} > {log:q} 2>&1"
