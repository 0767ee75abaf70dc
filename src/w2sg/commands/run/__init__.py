"""`w2sg run`: the stages of dvc.yaml where neither DVC nor Snakemake is installed."""
