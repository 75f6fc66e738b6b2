# One page per formulation, and the page that lists and compares them.
rule report:
    input:
        composition=rules.compose.output.composition,
        described=lambda wildcards: expand(
            "results/{{formulation}}/{temperature}K/{file}",
            temperature=STUDY.temperatures(wildcards.formulation),
            file=["described.json", ".describe"],
        ),
    output:
        page=update("results/{formulation}/report.html"),
        references=update("results/{formulation}/references.bib"),
        figures=update("results/{formulation}/figures.zip"),
        done=touch("results/{formulation}/.report"),
    log:
        "logs/report/{formulation}.log",
    params:
        words=lambda wildcards: STUDY.words_text(wildcards.formulation),
        stage=stages.REPORT,
    shell:
        "{PY:q} -m lmbmd report {wildcards.formulation} --study {STUDY_FILE:q} --results results > {log:q} 2>&1"


rule index:
    input:
        pages=expand([rules.report.output.page, rules.report.output.done], formulation=STUDY.names),
    output:
        page=update("results/index.html"),
        csv=update("results/features.csv"),
        parquet=update("results/features.parquet"),
        claims=update("results/claims.csv"),
        claims_page=update("results/claims.html"),
        done=touch("results/.index"),
    log:
        "logs/index.log",
    params:
        claims=STUDY.claims_text(),
        words=STUDY.words_text(*STUDY.names),
        stage=stages.REPORT,
        names=STUDY.names,
    shell:
        "{PY:q} -m lmbmd index --study {STUDY_FILE:q} --results results > {log:q} 2>&1"
