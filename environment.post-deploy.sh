# Made by `make lock`; Snakemake runs it in the new environment of environment.yml.
python -m pip install --no-deps alfworld==0.4.2
