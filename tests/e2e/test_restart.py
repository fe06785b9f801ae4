"""What was acknowledged is there after every node has stopped and started again."""

from conftest import end


def test_a_cluster_that_was_stopped_resumes_with_its_account_key_and_users(cluster):
    created = cluster.iam(2, prefix="~all").create_user(UserName="survivor")["User"]
    before = (cluster.account_id, cluster.administrator)
    end(cluster.process)
    assert cluster.process.returncode == 0, cluster.output()
    assert not (cluster.directory / "dev.json").exists(), "dev.json outlived its cluster"

    cluster.resume()

    assert (cluster.account_id, cluster.administrator) == before
    for number in cluster.numbers():
        assert cluster.iam(number).get_user(UserName="survivor")["User"] == created
    cluster.iam(1).create_user(UserName="after-the-restart")
    cluster.wait()
    cluster.assert_equal_digests()
