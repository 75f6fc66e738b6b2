# One page per formulation, and the page that lists and compares them.
rule report:
    input:
        composition=rules.compose.output,
        described=lambda wildcards: expand(
            "results/{{formulation}}/{temperature}K/described.json",
            temperature=STUDY.temperatures(wildcards.formulation),
        ),
    output:
        page="results/{formulation}/report.html",
        references="results/{formulation}/references.bib",
        figures=directory("results/{formulation}/figures"),
    log:
        "logs/report/{formulation}.log",
    params:
        words=lambda wildcards: STUDY.words_text(wildcards.formulation),
        stage=stages.REPORT,
    shell:
        "{PY:q} -m lmbmd report {wildcards.formulation} --study {STUDY_FILE:q} --results results > {log:q} 2>&1"


rule index:
    input:
        pages=expand(rules.report.output.page, formulation=STUDY.names),
    output:
        page="results/index.html",
        csv="results/features.csv",
        parquet="results/features.parquet",
        claims="results/claims.csv",
        claims_page="results/claims.html",
    log:
        "logs/index.log",
    params:
        claims=STUDY.claims_text(),
        words=STUDY.words_text(*STUDY.names),
        stage=stages.REPORT,
        names=STUDY.names,
    shell:
        "{PY:q} -m lmbmd index --study {STUDY_FILE:q} --results results > {log:q} 2>&1"
