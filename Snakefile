# The stages are in dvc.yaml; here each becomes a rule whose job lets DVC run that stage (docs/pipeline.md).
import snakemake_dvc

pipeline = snakemake_dvc.open_pipeline(workflow)


rule all:
    input:
        [rule.stamp for rule in pipeline.rules],
    message:
        "all stages are up to date"


for target, stamps in pipeline.aliases.items():

    rule:
        name:
            target
        input:
            stamps,
        message:
            f"{target} is up to date"


# An input may be newer than its consumer: hashes have decided already, and a stale stage has no stamp.
for item in pipeline.rules:

    rule:
        name:
            item.stage.name
        input:
            *[
                report(
                    path,
                    category=Path(path).parent.name,
                    caption=snakemake_dvc.find_caption(path),
                )
                for path in item.figures
            ],
            *[ancient(stamp) for stamp in item.inputs],
        output:
            stamp=item.stamp,
        log:
            item.log,
        conda:
            "environment.yml" if Path("environment.yml").exists() else None
        threads: item.stage.threads
        resources:
            **item.stage.resources,
        params:
            python=pipeline.python,
            script=pipeline.script,
            stage=item.stage.name,
        message:
            item.message
        shell:
            "{params.python:q} {params.script:q} run {params.stage:q} {output.stamp:q} 2>&1 | tee -i {log:q}"
