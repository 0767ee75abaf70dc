"""A clone of the repository elsewhere, with its outputs from a remote store, on the real commands.

`git clone` and `dvc pull` from a folder are in test_pipeline.py; here the store is S3, served by moto on this machine.
"""

import http.client

import pytest

pytestmark = pytest.mark.slow

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "toy",
    "AWS_SECRET_ACCESS_KEY": "toy",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def s3():
    """The address of a server that has the empty bucket `store`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", "/store")
    assert connection.getresponse().status == 200
    connection.close()
    yield f"http://{host}:{port}"
    server.stop()


def commit(toy):
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "built")


def clone(toy, path):
    toy.run("git", "clone", "--quiet", ".", str(path))
    return type(toy)(path, path.parent)


def test_clone_and_pull_from_s3(toy, tmp_path, s3):
    toy.run("dvc", "remote", "add", "--default", "store", "s3://store/toy")
    toy.run("dvc", "remote", "modify", "store", "endpointurl", s3)
    toy.env.update(CREDENTIALS)
    toy.run("dvc", "push", "--quiet")
    commit(toy)
    other = clone(toy, tmp_path / "clone")
    refused = other.run("dvc", "pull", check=False, AWS_EC2_METADATA_DISABLED="true")
    assert refused.returncode != 0
    assert "redentials" in refused.stdout
    other.env.update(CREDENTIALS)
    other.run("dvc", "pull", "--quiet")
    assert other.nothing_to_do
    assert other.clean
    other.snakemake()
    assert other.ran() == []


def test_revert_in_a_clone(toy, tmp_path):
    """The run cache travels as records; what they point to travels with the commits that used it."""
    # A metric that only git holds would not be in the store.
    toy.edit("dvc.yaml", "out/score/${item.env}.json: {cache: false}", "out/score/${item.env}.json")
    with open(toy.path / ".gitignore", "a") as file:
        file.write("/out/\n")
    toy.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    toy.snakemake()
    commit(toy)
    toy.edit("params.yaml", "beta: 0.3", "beta: 0.5")
    toy.snakemake()
    commit(toy)
    toy.ran()
    toy.run("dvc", "push", "--quiet", "--run-cache", "--all-commits")
    other = clone(toy, tmp_path / "clone")
    other.run("dvc", "pull", "--quiet", "--run-cache", "--all-commits")
    other.edit("params.yaml", "beta: 0.5", "beta: 0.3")
    assert "restored from DVC's run cache: train@a, train@b, score@a, score@b, report" in other.snakemake()
    assert other.ran() == []
    assert other.clean
