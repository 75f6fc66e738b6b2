# Transport segments: each a run of its own, at the mean volume of a finished production, without friction. Its physics is
# in `physics`, its start a frame of the production; so nothing of `transport:` reruns the production.
rule segment:
    input:
        system=rules.build.output.system,
        box=rules.build.output.start,
        atoms=rules.build.output.atoms,
        trajectory=rules.simulate.output.trajectory,
        state=rules.simulate.output.state,
        run=rules.simulate.output.run,
        simulated=rules.simulate.output.done,
    output:
        spec=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/spec.json"),
        start=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/start.pdb"),
        trajectory=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/trajectory.xtc"),
        logs=[
            update(f"results/{{formulation}}/{{temperature}}K/r{{replica}}/t{{segment}}/{name}")
            for name in STUDY.segment_logs
        ],
        final=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/final.pdb"),
        run=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/run.json"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/t{segment}/.segment"),
    log:
        "logs/segment/{formulation}.{temperature}K.r{replica}.t{segment}.log",
    threads: threads_of_run
    params:
        physics=lambda wildcards: STUDY.spec_text(
            wildcards.formulation, wildcards.temperature, wildcards.replica, wildcards.segment
        ),
        stage=stages.SIMULATE,
        work="work/{formulation}/{temperature}K/r{replica}/t{segment}",
        production="results/{formulation}/{temperature}K/r{replica}",
        out="results/{formulation}/{temperature}K/r{replica}/t{segment}",
    shell:
        "{PY:q} -m lmbmd spec {wildcards.formulation} {wildcards.temperature} {wildcards.replica}"
        " --segment {wildcards.segment} --study {STUDY_FILE:q} --out {output.spec:q} > {log:q} 2>&1 && "
        "{PY:q} -m lmbmd start {params.production:q} {wildcards.segment} --box {input.box:q} --atoms {input.atoms:q}"
        " --out {output.start:q} >> {log:q} 2>&1 && "
        "exec {PY:q} -m lmbmd simulate --spec {output.spec:q} --system {input.system:q} --start {output.start:q}"
        " --atoms {input.atoms:q} --work {params.work:q} --out {params.out:q}"
        " --study {STUDY_FILE:q} --log {log:q} --threads {threads} --fresh"


# Where the molecules' centres are in each frame, from which motion is measured, and what surrounds each ion.
rule segment_contacts:
    input:
        atoms=rules.build.output.atoms,
        trajectory=rules.segment.output.trajectory,
        simulated=rules.segment.output.done,
    output:
        contacts=update("results/{formulation}/{temperature}K/r{replica}/t{segment}/contacts.arrow"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/t{segment}/.segment_contacts"),
    log:
        "logs/segment_contacts/{formulation}.{temperature}K.r{replica}.t{segment}.log",
    threads: 8
    params:
        options=STUDY.contacts_text(),
        stage=stages.CONTACTS,
    shell:
        "{PY:q} -m lmbmd contacts --atoms {input.atoms:q} --trajectory {input.trajectory:q}"
        " --contacts {output.contacts:q} --study {STUDY_FILE:q} --workers {threads} > {log:q} 2>&1"
