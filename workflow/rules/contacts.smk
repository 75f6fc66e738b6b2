# One pass over the trajectory: every contact within the search radius, and all radial distribution functions.
rule contacts:
    input:
        atoms=rules.build.output.atoms,
        trajectory=rules.simulate.output.trajectory,
        simulated=rules.simulate.output.done,
    output:
        contacts=update("results/{formulation}/{temperature}K/r{replica}/contacts.arrow"),
        rdf=update("results/{formulation}/{temperature}K/r{replica}/rdf.npz"),
        sample=update("results/{formulation}/{temperature}K/r{replica}/sample.xtc"),
        done=touch("results/{formulation}/{temperature}K/r{replica}/.contacts"),
    log:
        "logs/contacts/{formulation}.{temperature}K.r{replica}.log",
    threads: 8
    params:
        options=STUDY.contacts_text(),
        stage=stages.CONTACTS,
    shell:
        "{PY:q} -m lmbmd contacts --atoms {input.atoms:q} --trajectory {input.trajectory:q}"
        " --contacts {output.contacts:q} --rdf {output.rdf:q} --study {STUDY_FILE:q} --workers {threads} > {log:q} 2>&1"
