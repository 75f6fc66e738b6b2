# One packed box per replica, shared by its temperatures: the System, the start, and who every atom is.
rule build:
    input:
        composition=rules.compose.output.composition,
        composed=rules.compose.output.done,
    output:
        system=update("results/{formulation}/r{replica}/system.xml"),
        start=update("results/{formulation}/r{replica}/start.pdb"),
        atoms=update("results/{formulation}/r{replica}/atoms.parquet"),
        built=update("results/{formulation}/r{replica}/build.json"),
        done=touch("results/{formulation}/r{replica}/.build"),
    log:
        "logs/build/{formulation}.r{replica}.log",
    params:
        stage=stages.BUILD,
    shell:
        "{PY:q} -m lmbmd build {input.composition:q} --replica {wildcards.replica}"
        " --out results/{wildcards.formulation}/r{wildcards.replica} > {log:q} 2>&1"
