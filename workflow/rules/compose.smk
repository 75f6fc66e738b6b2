# What is in the bottle: integer counts, box edge, asked against realised amounts.
rule compose:
    output:
        composition=update("results/{formulation}/composition.json"),
        done=touch("results/{formulation}/.compose"),
    log:
        "logs/compose/{formulation}.log",
    params:
        recipe=lambda wildcards: STUDY.recipe_text(wildcards.formulation),
        stage=stages.COMPOSE,
    shell:
        "{PY:q} -m lmbmd compose {wildcards.formulation} --study {STUDY_FILE:q} --out {output.composition:q} > {log:q} 2>&1"
