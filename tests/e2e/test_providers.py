"""Identity providers of an account.

The expected codes, status numbers and texts are those of AWS. Each test's names are its own, since
the tests of a module share a cluster.
"""

from conftest import token_of
from test_credentials import refusal, text


def test_openid_connect_providers_of_an_account(cluster):
    iam = cluster.iam(1)
    made = iam.create_open_id_connect_provider(
        Url="https://idp.example.com:8443/realms/main",
        ClientIDList=["web"],
        ThumbprintList=["990F4193972F2BECF12DDEDA5237F9C952F20D9E"],
        Tags=[{"Key": "team", "Value": "a"}],
    )
    arn = f"arn:aws:iam::{cluster.account_id}:oidc-provider/idp.example.com:8443/realms/main"
    assert (made["OpenIDConnectProviderArn"], made["Tags"]) == (arn, [{"Key": "team", "Value": "a"}])
    named = {"OpenIDConnectProviderArn": arn}
    cluster.wait("--token", token_of(made))

    elsewhere = cluster.iam(3)
    added = elsewhere.add_client_id_to_open_id_connect_provider(**named, ClientID="cli")
    cluster.wait("--token", token_of(added))
    got = iam.get_open_id_connect_provider(**named)
    assert got["Url"] == "idp.example.com:8443/realms/main"
    assert got["ClientIDList"] == ["cli", "web"]
    assert got["ThumbprintList"] == ["990f4193972f2becf12ddeda5237f9c952f20d9e"]
    iam.remove_client_id_from_open_id_connect_provider(**named, ClientID="web")
    iam.update_open_id_connect_provider_thumbprint(**named, ThumbprintList=[])
    iam.tag_open_id_connect_provider(**named, Tags=[{"Key": "team", "Value": "b"}])
    got = iam.get_open_id_connect_provider(**named)
    assert (got["ClientIDList"], got["ThumbprintList"]) == (["cli"], [])
    assert got["Tags"] == [{"Key": "team", "Value": "b"}]
    assert iam.get_account_summary()["SummaryMap"]["Providers"] == 1
    listed = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert listed == [{"Arn": arn}]
    iam.delete_open_id_connect_provider(**named)
    assert refusal(iam.get_open_id_connect_provider, **named) == (
        "NoSuchEntity", 404, f"OpenIDConnect Provider not found for arn {arn}",
    )  # fmt: skip


def test_wrong_openid_connect_providers_are_refused(cluster):
    iam = cluster.iam(1)
    create = iam.create_open_id_connect_provider
    assert refusal(create, Url="http://idp.example.com") == (
        "ValidationError", 400, "Invalid Open ID Connect Provider URL",
    )  # fmt: skip
    url = "https://wrong.example.com"
    assert refusal(create, Url=url, ClientIDList=[f"c{n}" for n in range(101)]) == (
        "LimitExceeded", 409, "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100",
    )  # fmt: skip
    assert refusal(create, Url=url, ThumbprintList=["0" * 40] * 6)[:2] == ("InvalidInput", 400)
    named = {"OpenIDConnectProviderArn": create(Url=url)["OpenIDConnectProviderArn"]}
    assert refusal(create, Url=url) == (
        "EntityAlreadyExists", 409, f"Provider with url {url} already exists.",
    )  # fmt: skip
    iam.delete_open_id_connect_provider(**named)


def test_saml_providers_of_an_account(cluster):
    iam = cluster.iam(1)
    tags = [{"Key": "team", "Value": "a"}]
    made = iam.create_saml_provider(
        Name="idp", SAMLMetadataDocument=text("metadata-1.xml"), Tags=tags
    )
    arn = f"arn:aws:iam::{cluster.account_id}:saml-provider/idp"
    assert (made["SAMLProviderArn"], made["Tags"]) == (arn, tags)
    named = {"SAMLProviderArn": arn}
    cluster.wait("--token", token_of(made))

    elsewhere = cluster.iam(3)
    got = elsewhere.get_saml_provider(**named)
    assert got["SAMLMetadataDocument"] == text("metadata-1.xml")
    assert (got["ValidUntil"].year, got["Tags"]) == (2090, tags)
    updated = elsewhere.update_saml_provider(
        **named, SAMLMetadataDocument=text("metadata-2.xml")
    )
    assert updated["SAMLProviderArn"] == arn
    cluster.wait("--token", token_of(updated))
    (listed,) = iam.list_saml_providers()["SAMLProviderList"]
    assert (listed["Arn"], listed["ValidUntil"].year) == (arn, 2120)
    iam.delete_saml_provider(**named)
    assert refusal(iam.get_saml_provider, **named) == (
        "NoSuchEntity", 404, f"Manifest not found for arn {arn}",
    )  # fmt: skip


def test_wrong_saml_providers_are_refused(cluster):
    iam = cluster.iam(1)

    def refused(metadata, **others):
        metadata = {"Name": "wrong", "SAMLMetadataDocument": metadata}
        return refusal(iam.create_saml_provider, **metadata, **others)

    metadata = text("metadata-1.xml")
    malformed = ("InvalidInput", 400, "Could not parse metadata")
    assert refused("x" * 1000) == malformed
    typed = metadata.replace("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>', 1)
    assert refused(typed) == malformed
    assert refused(metadata + f"<!--{'x' * 131072}-->") == (
        "LimitExceeded", 409, "Cannot exceed quota for SAMLMetadataDocumentSize: 131072",
    )  # fmt: skip
    key = text("certificate-1.key")
    code, status, message = refused(metadata, AddPrivateKey=key, AssertionEncryptionMode="Allowed")
    assert (code, status) == ("UnknownParameter", 400)
    assert "PRIVATE" not in message
