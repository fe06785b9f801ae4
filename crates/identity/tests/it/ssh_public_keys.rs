//! SSH public keys of users.

use expect_test::expect;

use crate::history::{History, check_history};

#[test]
fn a_key_is_uploaded_once_and_leaves_before_its_user() {
    check_history(
        "quiet root CreateUser bob
        root UploadSSHPublicKey none ssh-1.pub
        root UploadSSHPublicKey bob ssh-1024.pub
        root UploadSSHPublicKey bob ssh-ed25519.pub
        quiet root UploadSSHPublicKey bob ssh-1.pub
        root UploadSSHPublicKey bob ssh-1.pub
        root UploadSSHPublicKey bob ssh-1.pkcs1.pem
        quiet root UploadSSHPublicKey bob ssh-2.pub
        root ListSSHPublicKeys bob
        root UpdateSSHPublicKey bob key1 Inactive
        root UpdateSSHPublicKey bob APKAIOSFODNN7EXAMPLE Inactive
        root ListSSHPublicKeys bob
        root ListSSHPublicKeys
        root DeleteUser bob
        root DeleteSSHPublicKey bob key1
        root DeleteSSHPublicKey bob key1
        root GetSSHPublicKey bob key1 SSH
        root DeleteSSHPublicKey bob key2
        root DeleteUser bob",
        expect![[r#"
            root UploadSSHPublicKey none ssh-1.pub
                NoSuchEntity { noun: User, name: "none" }
            root UploadSSHPublicKey bob ssh-1024.pub
                Key(InvalidPublicKey)
            root UploadSSHPublicKey bob ssh-ed25519.pub
                Key(UnrecognizedPublicKeyEncoding)
            root UploadSSHPublicKey bob ssh-1.pub
                Key(DuplicateSshPublicKey)
            root UploadSSHPublicKey bob ssh-1.pkcs1.pem
                Key(DuplicateSshPublicKey)
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Active, uploaded: T }, SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Active, uploaded: T }], next: None })
            root UpdateSSHPublicKey bob key1 Inactive
                done
            root UpdateSSHPublicKey bob APKAIOSFODNN7EXAMPLE Inactive
                NoSuchEntity { noun: SshPublicKey, name: "APKAIOSFODNN7EXAMPLE" }
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Active, uploaded: T }, SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Inactive, uploaded: T }], next: None })
            root ListSSHPublicKeys
                MustSpecifyUserName
            root DeleteUser bob
                DeleteConflict { obstacle: ReferencedObjects }
            root DeleteSSHPublicKey bob key1
                done
            root DeleteSSHPublicKey bob key1
                NoSuchEntity { noun: SshPublicKey, name: "APKAUQPGPVZ4EST3O7UE" }
            root GetSSHPublicKey bob key1 SSH
                NoSuchEntity { noun: SshPublicKey, name: "APKAUQPGPVZ4EST3O7UE" }
            root DeleteSSHPublicKey bob key2
                done
            root DeleteUser bob
                done
        "#]],
    );
}

#[test]
fn a_key_is_shown_in_both_forms() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot UploadSSHPublicKey bob ssh-1.pem");
    let said = history.run("root GetSSHPublicKey bob key1 SSH\nroot GetSSHPublicKey bob key1 PEM");
    let ssh = include_str!("../../testdata/ssh-1.pub").trim();
    assert!(said.contains(ssh.strip_suffix(" bob@example.com").unwrap()), "{said}");
    let pem = include_str!("../../testdata/ssh-1.pem");
    assert!(said.contains(&pem.escape_debug().to_string()), "{said}");
}

#[test]
fn a_user_may_manage_its_own_keys_if_it_is_let() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateUser ann
        bob ListSSHPublicKeys
        quiet root PutUserPolicy bob in allow:iam:*SSHPublicKey*
        bob ListSSHPublicKeys
        quiet root PutUserPolicy bob in deny:iam:UploadSSHPublicKey
        bob UploadSSHPublicKey ann ssh-1.pub",
        expect![[r#"
            bob ListSSHPublicKeys
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListSSHPublicKeys on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:ListSSHPublicKeys action" }
            bob ListSSHPublicKeys
                ListSSHPublicKeys(Listing { items: [], next: None })
            bob UploadSSHPublicKey ann ssh-1.pub
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:UploadSSHPublicKey on resource: arn:aws:iam::123456789012:user/ann with an explicit deny in an identity-based policy" }
        "#]],
    );
}

#[test]
fn a_key_whose_status_or_being_is_contested_does_not_authenticate() {
    check_history(
        "quiet root CreateUser bob
        quiet root UploadSSHPublicKey bob ssh-1.pub
        sync
        quiet a: root UpdateSSHPublicKey bob key1 Active
        quiet b: root UpdateSSHPublicKey bob key1 Inactive
        sync
        root ListSSHPublicKeys bob
        conflicts
        b: root UpdateSSHPublicKey bob key1 Active
        sync
        root ListSSHPublicKeys bob
        quiet a: root UpdateSSHPublicKey bob key1 Active
        quiet b: root DeleteSSHPublicKey bob key1
        sync
        root ListSSHPublicKeys bob
        conflicts
        root UpdateSSHPublicKey bob key1 Active
        root DeleteUser bob
        root Resolve ssh_public_key remove
        root DeleteUser bob
        conflicts",
        expect![[r#"
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Inactive, uploaded: T }], next: None })
            conflicts
                credential_status: user bob, status of APKAKTKSLKGTKAR7FQSS
                  node 1, 123456789012:root, UpdateSSHPublicKey: Active
                  node 2, 123456789012:root, UpdateSSHPublicKey: Inactive
                  withheld: it does not authenticate
                  1: iam:UpdateSSHPublicKey
                  2: iam:UpdateSSHPublicKey
                  remove: iam:DeleteSSHPublicKey
            b: root UpdateSSHPublicKey bob key1 Active
                done
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Active, uploaded: T }], next: None })
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Inactive, uploaded: T }], next: None })
            conflicts
                ssh_public_key: user bob, SSH public key APKAKTKSLKGTKAR7FQSS
                  node 1, 123456789012:root, UpdateSSHPublicKey: e2:1d:e3:09:24:6b:cc:38:0e:db:2c:06:29:32:92:b3, uploaded at T
                  node 2, 123456789012:root, DeleteSSHPublicKey: removed
                  withheld: it does not authenticate
                  remove: iam:DeleteSSHPublicKey
                credential_status: user bob, status of APKAKTKSLKGTKAR7FQSS
                  node 1, 123456789012:root, UpdateSSHPublicKey: Active
                  node 2, 123456789012:root, DeleteSSHPublicKey: removed
                  withheld: it does not authenticate
                  1: iam:UpdateSSHPublicKey
                  remove: iam:DeleteSSHPublicKey
            root UpdateSSHPublicKey bob key1 Active
                ConcurrentModification { noun: SshPublicKey, name: "APKAKTKSLKGTKAR7FQSS" }
            root DeleteUser bob
                DeleteConflict { obstacle: ReferencedObjects }
            root Resolve ssh_public_key remove
                done
            root DeleteUser bob
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn a_key_that_was_uploaded_at_two_nodes_at_once_is_there_twice() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        sync
        a: root UploadSSHPublicKey bob ssh-1.pub
        b: root UploadSSHPublicKey bob ssh-1.pub
        sync",
    );
    let said = history.run("root ListSSHPublicKeys bob\nroot UploadSSHPublicKey bob ssh-1.pub");
    assert_eq!(said.matches("SshPublicKeyMetadata {").count(), 2, "{said}");
    assert!(said.contains("DuplicateSshPublicKey"), "{said}");
}

#[test]
fn who_uploads_a_key_while_its_user_is_deleted_brings_nobody_back() {
    check_history(
        "quiet root CreateUser bob
        quiet root PutUserPolicy bob in allow:s3:*
        quiet root DeleteUserPolicy bob in
        sync
        quiet a: root DeleteUser bob
        quiet b: root UploadSSHPublicKey bob ssh-1.pub
        sync
        conflicts
        root ListSSHPublicKeys bob
        root DeleteUser bob
        root DeleteSSHPublicKey bob key1
        root DeleteUser bob
        conflicts",
        expect![[r#"
            conflicts
                existence: user bob, whether it exists
                  node 1, 123456789012:root, DeleteUser: removed
                  node 2, 123456789012:root, UploadSSHPublicKey: made at T
                  withheld: it cannot act, its credentials are refused
                  remove: iam:DeleteUser
            root ListSSHPublicKeys bob
                ListSSHPublicKeys(Listing { items: [SshPublicKeyMetadata { user: UserName("bob"), id: "APKA…", status: Active, uploaded: T }], next: None })
            root DeleteUser bob
                DeleteConflict { obstacle: ReferencedObjects }
            root DeleteSSHPublicKey bob key1
                done
            root DeleteUser bob
                done
            conflicts
                none
        "#]],
    );
}
