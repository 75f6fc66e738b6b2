# One packed box per replica, shared by its temperatures: the System, the start, and who every atom is.
rule build:
    input:
        composition=rules.compose.output,
    output:
        system="results/{formulation}/r{replica}/system.xml",
        start="results/{formulation}/r{replica}/start.pdb",
        atoms="results/{formulation}/r{replica}/atoms.parquet",
        built="results/{formulation}/r{replica}/build.json",
    log:
        "logs/build/{formulation}.r{replica}.log",
    params:
        stage=stages.BUILD,
    shell:
        "{PY:q} -m lmbmd build {input.composition:q} --replica {wildcards.replica}"
        " --out results/{wildcards.formulation}/r{wildcards.replica} > {log:q} 2>&1"
