//! Service-specific credentials of users.

use expect_test::expect;

use crate::history::{History, check_history};

#[test]
fn a_user_has_two_credentials_for_a_service_and_leaves_without() {
    check_history(
        "quiet root CreateUser bob
        root CreateServiceSpecificCredential none codecommit
        root CreateServiceSpecificCredential bob s3
        root CreateServiceSpecificCredential bob cassandra 30
        quiet root CreateServiceSpecificCredential bob codecommit
        quiet root CreateServiceSpecificCredential bob codecommit
        root CreateServiceSpecificCredential bob codecommit
        quiet root CreateServiceSpecificCredential bob bedrock 30
        root ListServiceSpecificCredentials bob codecommit
        root ListServiceSpecificCredentials bob s3
        root ListServiceSpecificCredentials bob bedrock
        root UpdateServiceSpecificCredential bob key1 Inactive
        quiet root ResetServiceSpecificCredential bob key1
        root ListServiceSpecificCredentials bob codecommit
        root DeleteServiceSpecificCredential bob key1
        root DeleteServiceSpecificCredential bob key1
        root ResetServiceSpecificCredential bob key1
        root DeleteUser bob
        root DeleteServiceSpecificCredential bob key2
        root DeleteServiceSpecificCredential bob key3
        root DeleteUser bob",
        expect![[r#"
            root CreateServiceSpecificCredential none codecommit
                NoSuchEntity { noun: User, name: "none" }
            root CreateServiceSpecificCredential bob s3
                NoSuchEntity { noun: Service, name: "s3.amazonaws.com" }
            root CreateServiceSpecificCredential bob cassandra 30
                NoExpiry { service: "cassandra.amazonaws.com" }
            root CreateServiceSpecificCredential bob codecommit
                LimitExceeded { quota: ServiceCredentialsPerUser }
            root ListServiceSpecificCredentials bob codecommit
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob-at-123456789012"), status: Set(Active), created: T, expires: None }, ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob+1-at-123456789012"), status: Set(Active), created: T, expires: None }], next: None })
            root ListServiceSpecificCredentials bob s3
                NoSuchEntity { noun: Service, name: "s3.amazonaws.com" }
            root ListServiceSpecificCredentials bob bedrock
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "bedrock.amazonaws.com", name: Alias("bob-at-123456789012"), status: Set(Active), created: T, expires: Some(T) }], next: None })
            root UpdateServiceSpecificCredential bob key1 Inactive
                done
            root ListServiceSpecificCredentials bob codecommit
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob-at-123456789012"), status: Set(Inactive), created: T, expires: None }, ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob+1-at-123456789012"), status: Set(Active), created: T, expires: None }], next: None })
            root DeleteServiceSpecificCredential bob key1
                done
            root DeleteServiceSpecificCredential bob key1
                NoSuchEntity { noun: ServiceCredential, name: "ACCAXVE7QC4TI2VWGOFLI" }
            root ResetServiceSpecificCredential bob key1
                NoSuchEntity { noun: ServiceCredential, name: "ACCAXVE7QC4TI2VWGOFLI" }
            root DeleteUser bob
                DeleteConflict { obstacle: ReferencedObjects }
            root DeleteServiceSpecificCredential bob key2
                done
            root DeleteServiceSpecificCredential bob key3
                done
            root DeleteUser bob
                done
        "#]],
    );
}

#[test]
fn who_asks_for_all_users_needs_leave_for_all() {
    check_history(
        r#"quiet root CreateUser bob
        quiet root CreateUser ann
        quiet root CreateServiceSpecificCredential bob codecommit
        quiet root CreateServiceSpecificCredential ann logs
        quiet root PutUserPolicy bob own {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListServiceSpecificCredentials","Resource":"arn:aws:iam::123456789012:user/bob"}}
        bob ListServiceSpecificCredentials -
        bob ListServiceSpecificCredentials ann
        bob ListServiceSpecificCredentials *
        quiet root PutUserPolicy bob all {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListServiceSpecificCredentials","Resource":"arn:aws:iam::123456789012:user/*"}}
        bob ListServiceSpecificCredentials *
        root ListServiceSpecificCredentials"#,
        expect![[r#"
            bob ListServiceSpecificCredentials -
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob-at-123456789012"), status: Set(Active), created: T, expires: None }], next: None })
            bob ListServiceSpecificCredentials ann
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListServiceSpecificCredentials on resource: arn:aws:iam::123456789012:user/ann because no identity-based policy allows the iam:ListServiceSpecificCredentials action" }
            bob ListServiceSpecificCredentials *
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListServiceSpecificCredentials on resource: arn:aws:iam::123456789012:user/* because no identity-based policy allows the iam:ListServiceSpecificCredentials action" }
            bob ListServiceSpecificCredentials *
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("ann"), id: "ACCA…", service: "logs.amazonaws.com", name: Alias("ann-at-123456789012"), status: Set(Active), created: T, expires: None }, ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob-at-123456789012"), status: Set(Active), created: T, expires: None }], next: None })
            root ListServiceSpecificCredentials
                MustSpecifyUserName
        "#]],
    );
}

#[test]
fn policies_may_ask_for_the_service_and_for_an_early_end() {
    check_history(
        r#"quiet root CreateUser bob
        quiet root PutUserPolicy bob in {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:CreateServiceSpecificCredential","Resource":"*","Condition":{"StringEquals":{"iam:ServiceSpecificCredentialServiceName":"bedrock.amazonaws.com"},"NumericLessThanEquals":{"iam:ServiceSpecificCredentialAgeDays":"90"}}}}
        bob CreateServiceSpecificCredential bob codecommit
        bob CreateServiceSpecificCredential bob bedrock
        bob CreateServiceSpecificCredential bob bedrock 91
        bob CreateServiceSpecificCredential bob bedrock 90"#,
        expect![[r#"
            bob CreateServiceSpecificCredential bob codecommit
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateServiceSpecificCredential on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:CreateServiceSpecificCredential action" }
            bob CreateServiceSpecificCredential bob bedrock
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateServiceSpecificCredential on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:CreateServiceSpecificCredential action" }
            bob CreateServiceSpecificCredential bob bedrock 91
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateServiceSpecificCredential on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:CreateServiceSpecificCredential action" }
            bob CreateServiceSpecificCredential bob bedrock 90
                CreateServiceSpecificCredential(NewServiceCredential { credential: ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "bedrock.amazonaws.com", name: Alias("bob-at-123456789012"), status: Set(Active), created: T, expires: Some(T) }, secret: Secret(..) })
        "#]],
    );
}

#[test]
fn of_secrets_that_were_made_at_once_none_is_right_until_one_is_made_anew() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateServiceSpecificCredential bob codecommit
        sync
        quiet a: root ResetServiceSpecificCredential bob key1
        quiet b: root ResetServiceSpecificCredential bob key1
        sync
        conflicts
        root UpdateServiceSpecificCredential bob key1 Active
        quiet root ResetServiceSpecificCredential bob key1
        conflicts
        sync
        quiet a: root ResetServiceSpecificCredential bob key1
        quiet b: root DeleteServiceSpecificCredential bob key1
        sync
        root ListServiceSpecificCredentials bob
        root ResetServiceSpecificCredential bob key1
        conflicts
        root Resolve service_specific_credential remove
        conflicts",
        expect![[r#"
            conflicts
                service_specific_credential: user bob, service-specific credential ACCANGSM3G7SYVHEXJNYM
                  node 1, 123456789012:root, ResetServiceSpecificCredential: bob-at-123456789012 for codecommit.amazonaws.com
                  node 2, 123456789012:root, ResetServiceSpecificCredential: bob-at-123456789012 for codecommit.amazonaws.com
                  withheld: it does not authenticate
                  1: iam:ResetServiceSpecificCredential
                  2: iam:ResetServiceSpecificCredential
                  remove: iam:DeleteServiceSpecificCredential
            root UpdateServiceSpecificCredential bob key1 Active
                ConcurrentModification { noun: ServiceCredential, name: "ACCANGSM3G7SYVHEXJNYM" }
            conflicts
                none
            root ListServiceSpecificCredentials bob
                ListServiceSpecificCredentials(Listing { items: [ServiceCredential { user: UserName("bob"), id: "ACCA…", service: "codecommit.amazonaws.com", name: UserName("bob-at-123456789012"), status: Set(Inactive), created: T, expires: None }], next: None })
            root ResetServiceSpecificCredential bob key1
                ConcurrentModification { noun: ServiceCredential, name: "ACCANGSM3G7SYVHEXJNYM" }
            conflicts
                service_specific_credential: user bob, service-specific credential ACCANGSM3G7SYVHEXJNYM
                  node 1, 123456789012:root, ResetServiceSpecificCredential: bob-at-123456789012 for codecommit.amazonaws.com
                  node 2, 123456789012:root, DeleteServiceSpecificCredential: removed
                  withheld: it does not authenticate
                  remove: iam:DeleteServiceSpecificCredential
            root Resolve service_specific_credential remove
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn a_chosen_secret_is_the_one_that_was_given_out() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root CreateServiceSpecificCredential bob codecommit
        sync
        a: root ResetServiceSpecificCredential bob key1
        b: root ResetServiceSpecificCredential bob key1
        sync",
    );
    let said = history.run(
        "root Resolve service_specific_credential 2
        sync
        conflicts
        root ListServiceSpecificCredentials bob",
    );
    assert!(said.contains("none") && said.contains("Active"), "{said}");
}

#[test]
fn no_secret_shows_in_what_is_logged() {
    let mut history = History::new();
    let said = history.run(
        "root CreateUser bob
        root CreateServiceSpecificCredential bob codecommit
        root CreateServiceSpecificCredential bob bedrock",
    );
    assert_eq!(said.matches("NewServiceCredential").count(), 2);
    assert!(!said.contains("ABSK") && !said.contains("=\""), "{said}");
}
