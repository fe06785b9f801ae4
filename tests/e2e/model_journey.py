"""One successful call of every action that Writ has, in an order that lets each succeed.

Must not know: what the answers must look like.
"""

import json

from conftest import ROOT
from totp import Device

STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": STATEMENT})
TAGS = [{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": "b"}]
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def trust(principal: str) -> str:
    """A trust policy that lets a principal do everything with a role."""
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def journey(call, refusal, account, issuer):
    """Calls every action as the administrator, by `call(action, credentials=None, **params)`.

    `refusal` calls in the same way and gives the members of the refusal. `issuer` signs tokens.
    """
    users(call)
    groups(call)
    roles(call, account)
    instance_profiles(call)
    arn = policies(call)
    attachments(call, arn)
    boundaries(call, arn)
    for kind in ("User", "Group", "Role"):
        inline(call, kind)
    simulations(call, account)
    access_keys(call)
    passwords(call)
    ssh_public_keys(call)
    signing_certificates(call)
    service_credentials(call)
    server_certificates(call)
    oidc_providers(call, account)
    saml_providers(call, account)
    mfa_devices(call)
    tags(call, arn, account)
    account_calls(call)
    credential_report(call)
    sts(call, refusal, account)
    web_identity(call, issuer)
    deletions(call, arn, account)


def users(call):
    """Users: `walked` stays to the end."""
    call("CreateUser", UserName="first", Path="/walk/", Tags=TAGS)
    call("CreateUser", UserName="other", PermissionsBoundary=ADMINISTRATOR)
    call("UpdateUser", UserName="first", NewUserName="walked", NewPath="/walked/")
    call("GetUser", UserName="walked")
    page = call("ListUsers", MaxItems=1)
    call("ListUsers", PathPrefix="/", Marker=page["Marker"])


def groups(call):
    """Groups: `walked` stays to the end, with the user in it."""
    call("CreateGroup", GroupName="first", Path="/walk/")
    call("UpdateGroup", GroupName="first", NewGroupName="walked", NewPath="/walked/")
    call("AddUserToGroup", GroupName="walked", UserName="walked")
    call("AddUserToGroup", GroupName="walked", UserName="other")
    call("CreateGroup", GroupName="more")
    call("AddUserToGroup", GroupName="more", UserName="walked")
    page = call("GetGroup", GroupName="walked", MaxItems=1)
    call("GetGroup", GroupName="walked", Marker=page["Marker"])
    page = call("ListGroups", MaxItems=1)
    call("ListGroups", Marker=page["Marker"])
    page = call("ListGroupsForUser", UserName="walked", MaxItems=1)
    call("ListGroupsForUser", UserName="walked", Marker=page["Marker"])
    call("RemoveUserFromGroup", GroupName="walked", UserName="other")


def roles(call, account):
    """Roles: `walked` stays to the end."""
    call(
        "CreateRole",
        RoleName="walked",
        Path="/walk/",
        AssumeRolePolicyDocument=trust(account),
        Description="for a walk",
        MaxSessionDuration=7200,
        Tags=TAGS,
    )
    call(
        "CreateRole",
        RoleName="other",
        AssumeRolePolicyDocument=trust(account),
        PermissionsBoundary=ADMINISTRATOR,
    )
    call("UpdateRole", RoleName="walked", Description="", MaxSessionDuration=3600)
    call("UpdateRoleDescription", RoleName="walked", Description="walks")
    call("UpdateAssumeRolePolicy", RoleName="walked", PolicyDocument=trust(account))
    call("GetRole", RoleName="walked")
    page = call("ListRoles", MaxItems=1)
    call("ListRoles", Marker=page["Marker"])


def instance_profiles(call):
    """Instance profiles: `walked` stays to the end, with the role in it."""
    call("CreateInstanceProfile", InstanceProfileName="walked", Path="/walk/", Tags=TAGS)
    call("CreateInstanceProfile", InstanceProfileName="other")
    for profile in ("walked", "other"):
        named = {"InstanceProfileName": profile, "RoleName": "walked"}
        call("AddRoleToInstanceProfile", **named)
    call("GetInstanceProfile", InstanceProfileName="walked")
    page = call("ListInstanceProfiles", MaxItems=1)
    call("ListInstanceProfiles", PathPrefix="/", Marker=page["Marker"])
    page = call("ListInstanceProfilesForRole", RoleName="walked", MaxItems=1)
    call("ListInstanceProfilesForRole", RoleName="walked", Marker=page["Marker"])
    call("RemoveRoleFromInstanceProfile", InstanceProfileName="other", RoleName="walked")
    call("DeleteInstanceProfile", InstanceProfileName="other")


def policies(call) -> str:
    """A managed policy with two versions, which stays to the end; its ARN."""
    created = call(
        "CreatePolicy",
        PolicyName="walked",
        Path="/walk/",
        PolicyDocument=POLICY,
        Description="reads",
        Tags=TAGS,
    )
    arn = created["Policy"]["Arn"]
    call("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=POLICY, SetAsDefault=False)
    call("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=POLICY, SetAsDefault=True)
    call("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v2")
    call("DeletePolicyVersion", PolicyArn=arn, VersionId="v3")
    call("GetPolicy", PolicyArn=arn)
    call("GetPolicyVersion", PolicyArn=arn, VersionId="v1")
    page = call("ListPolicyVersions", PolicyArn=arn, MaxItems=1)
    call("ListPolicyVersions", PolicyArn=arn, Marker=page["Marker"])
    page = call("ListPolicies", Scope="All", OnlyAttached=False, MaxItems=1)
    call("ListPolicies", Marker=page["Marker"])
    call("ListPolicies", Scope="Local", PathPrefix="/walk/")
    return arn


def attachments(call, arn):
    """Attaches the policy to a user, a group and a role, where it stays."""
    for kind in ("User", "Group", "Role"):
        named = {f"{kind}Name": "walked"}
        for policy in (arn, READ_ONLY):
            call(f"Attach{kind}Policy", **named, PolicyArn=policy)
        page = call(f"ListAttached{kind}Policies", **named, MaxItems=1)
        call(f"ListAttached{kind}Policies", **named, PathPrefix="/", Marker=page["Marker"])
        call(f"Detach{kind}Policy", **named, PolicyArn=READ_ONLY)
    page = call("ListEntitiesForPolicy", PolicyArn=arn, MaxItems=1)
    call("ListEntitiesForPolicy", PolicyArn=arn, Marker=page["Marker"])
    for kind in ("User", "Group", "Role"):
        call("ListEntitiesForPolicy", PolicyArn=arn, EntityFilter=kind, PathPrefix="/")


def boundaries(call, arn):
    """Permissions boundaries of a user and a role; both stay bounded by the administrator's."""
    for kind in ("User", "Role"):
        named = {f"{kind}Name": "other"}
        call(f"Put{kind}PermissionsBoundary", **named, PermissionsBoundary=arn)
        call(f"Get{kind}", **named)
    for usage in ("PermissionsPolicy", "PermissionsBoundary"):
        call("ListEntitiesForPolicy", PolicyArn=arn, PolicyUsageFilter=usage)
        call("ListPolicies", PolicyUsageFilter=usage)
    for kind in ("User", "Role"):
        named = {f"{kind}Name": "other"}
        call(f"Delete{kind}PermissionsBoundary", **named)
        call(f"Put{kind}PermissionsBoundary", **named, PermissionsBoundary=ADMINISTRATOR)


def inline(call, kind):
    """Inline policies of one kind of principal; one stays."""
    named = {f"{kind}Name": "walked"}
    for name in ("first", "second"):
        call(f"Put{kind}Policy", **named, PolicyName=name, PolicyDocument=POLICY)
    call(f"Get{kind}Policy", **named, PolicyName="first")
    page = call(f"List{kind}Policies", **named, MaxItems=1)
    call(f"List{kind}Policies", **named, Marker=page["Marker"])
    call(f"Delete{kind}Policy", **named, PolicyName="second")


def simulations(call, account):
    """What policies would decide, with one condition key that nobody gives."""
    condition = {"Condition": {"StringEquals": {"s3:prefix": "a", "s3:delimiter": "/"}}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": STATEMENT | condition})
    source = f"arn:aws:iam::{account}:user/walked/walked"
    asked = {
        "PolicyInputList": [policy, POLICY],
        "PermissionsBoundaryPolicyInputList": [POLICY],
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
        "ResourceArns": ["arn:aws:s3:::bucket/key"],
        "ContextEntries": [
            {
                "ContextKeyName": "s3:prefix",
                "ContextKeyValues": ["a"],
                "ContextKeyType": "string",
            }
        ],
        "ResourcePolicy": json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": source},
                    "Action": "s3:GetObject",
                    "Resource": "*",
                },
            }
        ),
        "ResourceOwner": "arn:aws:iam::222222222222:root",
        "CallerArn": source,
        "MaxItems": 1,
    }
    for action, named in (
        ("SimulateCustomPolicy", {}),
        ("SimulatePrincipalPolicy", {"PolicySourceArn": source}),
    ):
        page = call(action, **named, **asked)
        result = page["EvaluationResults"][0]
        assert result["EvalDecision"] == "allowed", result
        [specific] = result["ResourceSpecificResults"]
        assert specific["EvalResourceDecision"] == "allowed", specific
        assert specific["MissingContextValues"] == ["s3:delimiter"], specific
        kinds = {matched["SourcePolicyType"] for matched in specific["MatchedStatements"]}
        assert {"none", "resource"} <= kinds, specific
        page = call(action, **named, **asked, Marker=page["Marker"])
        result = page["EvaluationResults"][0]
        assert result["EvalDecision"] == "implicitDeny", result
    for action, named in (
        ("GetContextKeysForCustomPolicy", {}),
        ("GetContextKeysForPrincipalPolicy", {"PolicySourceArn": source}),
    ):
        keys = call(action, **named, PolicyInputList=[policy])["ContextKeyNames"]
        assert {"s3:prefix", "s3:delimiter"} <= set(keys), keys


def access_keys(call):
    """The user's access keys; none stays."""
    key = call("CreateAccessKey", UserName="walked")["AccessKey"]["AccessKeyId"]
    other = call("CreateAccessKey", UserName="walked")["AccessKey"]["AccessKeyId"]
    page = call("ListAccessKeys", UserName="walked", MaxItems=1)
    call("ListAccessKeys", UserName="walked", Marker=page["Marker"])
    call("UpdateAccessKey", UserName="walked", AccessKeyId=key, Status="Inactive")
    for one in (key, other):
        call("DeleteAccessKey", UserName="walked", AccessKeyId=one)


def text(name: str) -> str:
    """A key or certificate of the unit tests."""
    return (ROOT / "crates/identity/testdata" / name).read_text()


def ssh_public_keys(call):
    """The user's SSH public keys; none stays."""
    named = {"UserName": "walked"}
    ids = [
        call("UploadSSHPublicKey", **named, SSHPublicKeyBody=text(name))["SSHPublicKey"]["SSHPublicKeyId"]
        for name in ("ssh-1.pub", "ssh-2.pub")
    ]
    page = call("ListSSHPublicKeys", **named, MaxItems=1)
    call("ListSSHPublicKeys", **named, Marker=page["Marker"])
    call("UpdateSSHPublicKey", **named, SSHPublicKeyId=ids[0], Status="Inactive")
    for encoding in ("SSH", "PEM"):
        call("GetSSHPublicKey", **named, SSHPublicKeyId=ids[0], Encoding=encoding)
    for one in ids:
        call("DeleteSSHPublicKey", **named, SSHPublicKeyId=one)


def signing_certificates(call):
    """The user's signing certificates; none stays."""
    named = {"UserName": "walked"}
    ids = [
        call("UploadSigningCertificate", **named, CertificateBody=text(name))["Certificate"]["CertificateId"]
        for name in ("certificate-1.pem", "certificate-2.pem")
    ]
    page = call("ListSigningCertificates", **named, MaxItems=1)
    call("ListSigningCertificates", **named, Marker=page["Marker"])
    call("UpdateSigningCertificate", **named, CertificateId=ids[0], Status="Inactive")
    for one in ids:
        call("DeleteSigningCertificate", **named, CertificateId=one)


def service_credentials(call):
    """The user's service-specific credentials; none stays."""
    named = {"UserName": "walked"}
    ids = []
    for service, age in (("codecommit", {}), ("bedrock", {"CredentialAgeDays": 1})):
        service = {"ServiceName": f"{service}.amazonaws.com"}
        made = call("CreateServiceSpecificCredential", **named, **service, **age)
        ids.append(made["ServiceSpecificCredential"]["ServiceSpecificCredentialId"])
    call("ListServiceSpecificCredentials", **named, ServiceName="codecommit.amazonaws.com")
    page = call("ListServiceSpecificCredentials", AllUsers=True, MaxItems=1)
    call("ListServiceSpecificCredentials", AllUsers=True, Marker=page["Marker"])
    for one in ids:
        one = {"ServiceSpecificCredentialId": one}
        call("ResetServiceSpecificCredential", **named, **one)
        call("UpdateServiceSpecificCredential", **named, **one, Status="Inactive")
        call("DeleteServiceSpecificCredential", **named, **one)


def server_certificates(call):
    """Server certificates: `walked` stays to the end."""
    issued = {
        "CertificateBody": text("issued.pem"),
        "PrivateKey": text("issued.key"),
        "CertificateChain": text("issued.chain.pem"),
    }
    call("UploadServerCertificate", ServerCertificateName="first", Path="/walk/", Tags=TAGS, **issued)
    bare = {"CertificateBody": text("certificate-3.pem"), "PrivateKey": text("certificate-3.key")}
    call("UploadServerCertificate", ServerCertificateName="other", **bare)
    renamed = {"NewServerCertificateName": "walked", "NewPath": "/walked/"}
    call("UpdateServerCertificate", ServerCertificateName="first", **renamed)
    call("GetServerCertificate", ServerCertificateName="walked")
    page = call("ListServerCertificates", PathPrefix="/", MaxItems=1)
    call("ListServerCertificates", Marker=page["Marker"])
    call("DeleteServerCertificate", ServerCertificateName="other")


def oidc_providers(call, account):
    """OpenID Connect providers; none stays."""
    arn = f"arn:aws:iam::{account}:oidc-provider/idp.example.com/walk"
    named = {"OpenIDConnectProviderArn": arn}
    given = {"ClientIDList": ["walk"], "ThumbprintList": ["0" * 40], "Tags": TAGS}
    call("CreateOpenIDConnectProvider", Url="https://idp.example.com/walk", **given)
    call("AddClientIDToOpenIDConnectProvider", **named, ClientID="other")
    call("RemoveClientIDFromOpenIDConnectProvider", **named, ClientID="other")
    call("UpdateOpenIDConnectProviderThumbprint", **named, ThumbprintList=["1" * 40])
    call("GetOpenIDConnectProvider", **named)
    call("ListOpenIDConnectProviders")
    tag(call, "OpenIDConnectProvider", named)
    call("DeleteOpenIDConnectProvider", **named)


def saml_providers(call, account):
    """SAML providers; none stays."""
    named = {"SAMLProviderArn": f"arn:aws:iam::{account}:saml-provider/walk"}
    call("CreateSAMLProvider", Name="walk", SAMLMetadataDocument=text("metadata-1.xml"), Tags=TAGS)
    call("UpdateSAMLProvider", **named, SAMLMetadataDocument=text("metadata-2.xml"))
    call("GetSAMLProvider", **named)
    call("ListSAMLProviders")
    tag(call, "SAMLProvider", named)
    call("DeleteSAMLProvider", **named)


def mfa_devices(call):
    """MFA devices: `walked` stays to the end."""
    tagged = {"Path": "/walk/", "Tags": TAGS}
    for name, others in (("walked", {}), ("other", tagged)):
        made = call("CreateVirtualMFADevice", VirtualMFADeviceName=name, **others)
        device = Device(made["VirtualMFADevice"])
        named = {"UserName": "walked", "SerialNumber": device.serial}
        call("EnableMFADevice", **named, **device.two_codes())
        call("ResyncMFADevice", **named, **device.two_codes())
    call("GetMFADevice", SerialNumber=device.serial, UserName="walked")
    page = call("ListMFADevices", UserName="walked", MaxItems=1)
    call("ListMFADevices", UserName="walked", Marker=page["Marker"])
    page = call("ListVirtualMFADevices", MaxItems=1)
    call("ListVirtualMFADevices", AssignmentStatus="Any", Marker=page["Marker"])
    for device in call("ListMFADevices", UserName="walked")["MFADevices"]:
        call("DeactivateMFADevice", UserName="walked", SerialNumber=device["SerialNumber"])
    call("DeleteVirtualMFADevice", SerialNumber=named["SerialNumber"])


def passwords(call):
    """The account's password policy and a user's password; neither stays."""
    call(
        "UpdateAccountPasswordPolicy",
        MinimumPasswordLength=14,
        RequireSymbols=True,
        RequireNumbers=True,
        RequireUppercaseCharacters=True,
        RequireLowercaseCharacters=True,
        AllowUsersToChangePassword=True,
        MaxPasswordAge=90,
        PasswordReusePrevention=24,
        HardExpiry=True,
    )
    call("GetAccountPasswordPolicy")
    first, second, third = (f"Correct-{n}-horse" for n in (1, 2, 3))
    call("CreateLoginProfile", UserName="walked", Password=first, PasswordResetRequired=True)
    call("GetLoginProfile", UserName="walked")
    call("UpdateLoginProfile", UserName="walked", Password=second)
    key = call("CreateAccessKey", UserName="walked")["AccessKey"]
    call("ChangePassword", credentials=key, OldPassword=second, NewPassword=third)
    call("DeleteAccessKey", UserName="walked", AccessKeyId=key["AccessKeyId"])
    call("DeleteLoginProfile", UserName="walked")
    call("DeleteAccountPasswordPolicy")


def tags(call, arn, account):
    """Tags of what has a name or an ARN."""
    for kind, named in (
        ("User", {"UserName": "walked"}),
        ("Role", {"RoleName": "walked"}),
        ("InstanceProfile", {"InstanceProfileName": "walked"}),
        ("ServerCertificate", {"ServerCertificateName": "walked"}),
        ("MFADevice", {"SerialNumber": f"arn:aws:iam::{account}:mfa/walked"}),
        ("Policy", {"PolicyArn": arn}),
    ):
        tag(call, kind, named)


def tag(call, kind, named):
    """Tags of one of a kind."""
    call(f"Tag{kind}", **named, Tags=TAGS)
    page = call(f"List{kind}Tags", **named, MaxItems=1)
    call(f"List{kind}Tags", **named, Marker=page["Marker"])
    call(f"Untag{kind}", **named, TagKeys=["cost"])


def credential_report(call):
    """The account's credential report, at one node."""
    call("GenerateCredentialReport")
    call("GenerateCredentialReport")
    call("GetCredentialReport")


def account_calls(call):
    """The account as a whole."""
    call("CreateAccountAlias", AccountAlias="walked")
    call("ListAccountAliases")
    call("GetAccountSummary")
    page = call("GetAccountAuthorizationDetails", MaxItems=1)
    call("GetAccountAuthorizationDetails", Marker=page["Marker"])
    kinds = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]
    call("GetAccountAuthorizationDetails", Filter=kinds)
    call("DeleteAccountAlias", AccountAlias="walked")


def sts(call, refusal, account):
    """Sessions, and what a denial says."""
    call("GetCallerIdentity")
    call("GetSessionToken", DurationSeconds=900)
    # The root user may not assume a role.
    call("AttachUserPolicy", UserName="other", PolicyArn=ADMINISTRATOR)
    key = call("CreateAccessKey", UserName="other")["AccessKey"]
    call(
        "AssumeRole",
        credentials=key,
        RoleArn=f"arn:aws:iam::{account}:role/walk/walked",
        RoleSessionName="walk",
        DurationSeconds=900,
        Policy=POLICY,
        PolicyArns=[{"arn": READ_ONLY}],
        Tags=TAGS,
        ExternalId="walk",
        SourceIdentity="walker",
    )
    federated = call(
        "GetFederationToken",
        credentials=key,
        Name="walk",
        DurationSeconds=900,
        Policy=POLICY,
        PolicyArns=[{"arn": READ_ONLY}],
        Tags=TAGS,
    )["Credentials"]
    call("GetAccessKeyInfo", AccessKeyId=federated["AccessKeyId"])
    call("GetAccessKeyInfo", AccessKeyId=key["AccessKeyId"])
    # Its use is written down after it is answered.
    for _ in range(1000):
        told = call("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"])
        if "LastUsedDate" in told["AccessKeyLastUsed"]:
            break
    call("DetachUserPolicy", UserName="other", PolicyArn=ADMINISTRATOR)
    denied = refusal("ListUsers", credentials=key)
    call("DecodeAuthorizationMessage", EncodedMessage=denied["EncodedMessage"])
    call("DeleteAccessKey", UserName="other", AccessKeyId=key["AccessKeyId"])


def web_identity(call, issuer):
    """A session of whom an issuer vouches for; role and provider do not stay."""
    made = call("CreateOpenIDConnectProvider", Url=issuer.url, ClientIDList=["web"])
    named = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
    actions = ["sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity"]
    principal = {"Federated": made["OpenIDConnectProviderArn"]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    role = call("CreateRole", RoleName="federated", AssumeRolePolicyDocument=document)["Role"]
    call(
        "AssumeRoleWithWebIdentity",
        RoleArn=role["Arn"],
        RoleSessionName="walk",
        WebIdentityToken=issuer.token(**{"https://aws.amazon.com/source_identity": "walker"}),
        DurationSeconds=900,
        Policy=POLICY,
        PolicyArns=[{"arn": READ_ONLY}],
    )
    call("DeleteRole", RoleName="federated")
    call("DeleteOpenIDConnectProvider", **named)


def deletions(call, arn, account):
    """Takes apart what stayed."""
    for kind in ("User", "Group", "Role"):
        named = {f"{kind}Name": "walked"}
        call(f"Detach{kind}Policy", **named, PolicyArn=arn)
        call(f"Delete{kind}Policy", **named, PolicyName="first")
    for version in ("v1",):
        call("DeletePolicyVersion", PolicyArn=arn, VersionId=version)
    call("DeletePolicy", PolicyArn=arn)
    for group in ("walked", "more"):
        call("RemoveUserFromGroup", GroupName=group, UserName="walked")
        call("DeleteGroup", GroupName=group)
    call("RemoveRoleFromInstanceProfile", InstanceProfileName="walked", RoleName="walked")
    call("DeleteInstanceProfile", InstanceProfileName="walked")
    call("DeleteServerCertificate", ServerCertificateName="walked")
    call("DeleteVirtualMFADevice", SerialNumber=f"arn:aws:iam::{account}:mfa/walked")
    for user in ("walked", "other"):
        call("DeleteUser", UserName=user)
    for role in ("walked", "other"):
        call("DeleteRole", RoleName=role)
