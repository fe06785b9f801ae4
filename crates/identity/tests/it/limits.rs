//! Limits, at and one past.

use identity::{Error, Quota};

use crate::history::History;

/// Runs `setup`, then `step` for each number; the first `max` pass, the next is refused.
fn check_limit(quota: Quota, setup: &str, step: impl Fn(usize) -> String) {
    let mut history = History::new();
    history.run(setup);
    let error = format!("{:?}", Error::LimitExceeded { quota });
    for number in 1..=quota.max() + 1 {
        let said = history.run(&step(number));
        assert_eq!(said.contains(&error), number > quota.max(), "{number}: {said}");
    }
}

#[test]
fn counts_are_limited() {
    let bob = "root CreateUser bob";
    check_limit(Quota::AccessKeysPerUser, bob, |_| "root CreateAccessKey bob".to_owned());
    check_limit(Quota::AccessKeysPerUser, "", |_| "root CreateAccessKey".to_owned());
    check_limit(Quota::SshPublicKeysPerUser, bob, |n| {
        format!("root UploadSSHPublicKey bob ssh-{n}.pub")
    });
    check_limit(Quota::SigningCertificatesPerUser, bob, |n| {
        format!("root UploadSigningCertificate bob certificate-{n}.pem")
    });
    check_limit(Quota::ServiceCredentialsPerUser, bob, |_| {
        "root CreateServiceSpecificCredential bob codecommit".to_owned()
    });
    check_limit(Quota::ServerCertificatesPerAccount, "", |n| {
        format!("root UploadServerCertificate c{n} certificate-3.pem certificate-3.key")
    });
    check_limit(Quota::OidcProvidersPerAccount, "", |n| {
        format!("root CreateOpenIDConnectProvider idp{n}.example.com")
    });
    let idp = "root CreateOpenIDConnectProvider idp.example.com";
    check_limit(Quota::ClientIdsPerOidcProvider, idp, |n| {
        format!("root AddClientIDToOpenIDConnectProvider idp.example.com {n}")
    });
    check_limit(Quota::ThumbprintsPerOidcProvider, idp, |n| {
        let thumbprints = vec!["0".repeat(40); n].join(",");
        format!("root UpdateOpenIDConnectProviderThumbprint idp.example.com {thumbprints}")
    });
    check_limit(Quota::SamlProvidersPerAccount, "", |n| {
        format!("root CreateSAMLProvider idp{n} metadata-1.xml")
    });
    check_limit(Quota::VersionsPerPolicy, "", |n| match n {
        1 => "root CreatePolicy P allow:s3:*".to_owned(),
        _ => "root CreatePolicyVersion P allow:s3:*".to_owned(),
    });
    check_limit(Quota::GroupsPerUser, bob, |n| {
        format!("quiet root CreateGroup g{n}\nroot AddUserToGroup g{n} bob")
    });
    check_limit(Quota::PoliciesPerUser, bob, |n| {
        format!("quiet root CreatePolicy p{n} allow:s3:*\nroot AttachUserPolicy bob p{n}")
    });
    check_limit(Quota::TagsPerEntity, bob, |n| format!("root TagUser bob k{n}=v"));
    check_limit(Quota::GroupsPerAccount, "", |n| format!("root CreateGroup g{n}"));
}

#[test]
fn what_is_counted_already_does_not_count_twice() {
    let mut history = History::new();
    history.run("root CreateUser bob");
    for n in 1..=10 {
        history.run(&format!("root CreateGroup g{n}\nroot AddUserToGroup g{n} bob"));
        history.run(&format!("root CreatePolicy p{n} allow:s3:*\nroot AttachUserPolicy bob p{n}"));
    }
    let said = history.run("root AddUserToGroup g1 bob\nroot AttachUserPolicy bob p1");
    assert_eq!(said.matches("done").count(), 2, "{said}");
}

#[test]
fn documents_are_limited_without_their_white_space() {
    /// A policy of exactly this many characters, in many short actions.
    fn sized(chars: usize) -> String {
        const OPEN: &str = r#"{"Statement":{"Effect":"Allow","Resource":"*","Action":["s3:x""#;
        const CLOSE: &str = "]}}";
        let mut text = OPEN.to_owned();
        let left = |text: &str| chars - text.len() - CLOSE.len();
        while left(&text) > 100 {
            text += &format!(r#","s3:{}""#, "x".repeat(43));
        }
        let rest = left(&text) - r#","s3:""#.len();
        text += &format!(r#","s3:{}"{CLOSE}"#, "x".repeat(rest));
        assert_eq!(text.len(), chars);
        text
    }
    for (quota, setup, step) in [
        (Quota::UserInlineSize, "root CreateUser x", "root PutUserPolicy x in "),
        (Quota::GroupInlineSize, "root CreateGroup x", "root PutGroupPolicy x in "),
        (Quota::RoleInlineSize, "root CreateRole x trust:123456789012", "root PutRolePolicy x in "),
        (Quota::PolicySize, "", "root CreatePolicy p "),
    ] {
        let mut history = History::new();
        history.run(setup);
        let over = history.run(&format!("{step}{}", sized(quota.max() + 1)));
        let refused = format!("{:?}", Error::LimitExceeded { quota });
        assert!(over.contains(&refused), "{quota:?}");
        let at = history.run(&format!("{step}{}", sized(quota.max())));
        assert!(at.contains("done") || at.contains("CreatePolicy("), "{quota:?} {at}");
    }
}
